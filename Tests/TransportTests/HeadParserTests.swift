import Testing

@testable import SluiceTransport

@Suite("The head parser")
struct HeadParserTests {
    private func parse(_ lines: [String]) throws -> HeadParser {
        var parser = HeadParser()
        for line in lines { try Array(line.utf8).withUnsafeBytes { try parser.take($0) } }
        return parser
    }

    @Test("an interim head leaves nothing behind")
    func interim() throws {
        let parser = try parse([
            "HTTP/1.1 103 Early Hints\r\n", "Content-Length: 9\r\n", "\r\n", "HTTP/1.0 204 \r\n", "A: b\r\n", "\r\n",
        ])
        #expect(parser.isComplete)
        #expect(parser.status == 204)
        #expect(parser.contentLength == nil)
        #expect(parser.headers.count == 1)
    }

    @Test("equal Content-Lengths are one")
    func twice() throws {
        let parser = try parse(["HTTP/1.1 200 OK\r\n", "Content-Length: 9\r\n", "content-length: 09\r\n", "\r\n"])
        #expect(parser.contentLength == 9)
        #expect(parser.lengthIsProven(method: "GET"))
    }

    @Test("noise is refused or read, never a trap")
    func noise() {
        var state: UInt64 = 7
        func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return Int(state >> 33) % bound
        }
        let pieces = [
            "HTTP/1.1 200 OK", "HTTP/1.", "Content-Length: ", "18446744073709551615", "-1",
            "Transfer-Encoding: chunked",
            ":", " ", "\r\n", "\n", "\r", "\u{0}", "é", "a", "100",
        ]
        for _ in 0..<3000 {
            var parser = HeadParser()
            var refused = false
            for _ in 0..<next(8) where !refused {
                let line = (0..<next(4)).map { _ in pieces[next(pieces.count)] }.joined() + (next(4) > 0 ? "\r\n" : "")
                do {
                    try Array(line.utf8).withUnsafeBytes { try parser.take($0) }
                } catch {
                    refused = true
                }
            }
            #expect(parser.headers.count <= 8)
        }
    }

    @Test(
        "what libcurl quotes loses its queries",
        arguments: [
            ("Could not resolve host: a.b", "Could not resolve host: a.b"),
            ("bad URL 'http://h/p?Signature=s3cret' here", "bad URL 'http://h/p?…' here"), ("?a b?c", "?… b?…"),
        ]
    )
    func redaction(text: String, expected: String) {
        #expect(TransportError.withoutQueries(text) == expected)
    }
}
