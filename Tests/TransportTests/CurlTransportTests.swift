import SluiceBytes
import SluiceTestSupport
import SluiceTransport
import Testing

@Suite("A transport", .timeLimit(.minutes(10)))
struct CurlTransportTests {
    @Test("sends the target byte for byte and hands out status, fields and body")
    func get() async throws {
        try await TransportFixture.run(.init(), .ok("hello")) { fixture in
            let response = try await fixture.transport.send(fixture.request("GET", "/a/../b/./%7e?x=1%2F2&y"))
            #expect(response.status == 200)
            #expect(response.lengthIsProven)
            #expect(response.headers["content-length"] == "5")
            #expect(response.peer == .loopback)
            #expect(try await response.collect(limit: 10) == Array("hello".utf8))
            let seen = try #require(fixture.server.requests.first)
            #expect(seen.line == "GET /a/../b/./%7e?x=1%2F2&y HTTP/1.1")
            #expect(seen.field("Accept-Encoding") == "identity")
            #expect(seen.field("Content-Length") == nil)
            #expect(seen.field("Expect") == nil)
            #expect(seen.field("Host") == "127.0.0.1:\(fixture.server.port)")
        }
    }

    @Test("uses one connection again")
    func reuse() async throws {
        try await TransportFixture.run(.init(), .ok()) { fixture in
            for _ in 0..<5 { _ = try await fixture.transport.send(fixture.request()).collect(limit: 10) }
            #expect(fixture.server.connectionCount == 1)
        }
    }

    @Test("says the length of a body, and 0 where there is none", arguments: ["PUT", "POST", "DELETE"])
    func upload(method: String) async throws {
        try await TransportFixture.run(.init(), .ok()) { fixture in
            var request = try fixture.request(method)
            _ = try await fixture.transport.send(request).collect(limit: 10)
            let bytes = SampleBytes.make(3 << 20)
            request.body = .chunks(Chunk.chunks(of: bytes, from: fixture.pool))
            _ = try await fixture.transport.send(request).collect(limit: 10)
            request.body = .bytes(Array("<xml/>".utf8))
            _ = try await fixture.transport.send(request).collect(limit: 10)
            let seen = fixture.server.requests
            #expect(seen.map { $0.field("Content-Length") } == ["0", "3145728", "6"])
            #expect(seen[1].body == bytes)
            #expect(seen.allSatisfy { $0.line.hasPrefix(method) && $0.field("Content-Type") == nil })
            #expect(seen.allSatisfy { $0.field("Expect") == nil && $0.field("Transfer-Encoding") == nil })
        }
    }

    @Test("gets no body for HEAD, whatever its Content-Length says")
    func head() async throws {
        try await TransportFixture.run(.init(), .init(.text("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")), .ok()) {
            fixture in
            let response = try await fixture.transport.send(fixture.request("HEAD"))
            #expect(response.headers["Content-Length"] == "99")
            #expect(try await drain(response.body) == 0)
            _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
            #expect(fixture.server.connectionCount == 1)
        }
    }

    @Test("gathers a large body whole")
    func large() async throws {
        let size = 20 << 20
        try await TransportFixture.run(
            .init(),
            .init(.text("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"), .pattern(size))
        ) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            var offset = 0
            var wrong = 0
            while let chunk = try await response.body.next() {
                chunk.withBytes { bytes in
                    for byte in bytes {
                        if byte != UInt8(offset % 251) { wrong += 1 }
                        offset += 1
                    }
                }
            }
            #expect(offset == size)
            #expect(wrong == 0)
        }
    }
}
