import SluiceBytes
import SluiceTestSupport
import SluiceTransport
import Synchronization
import Testing

/// Rows of the fault catalogue that begin below HTTP's statuses. Numbers in names: the catalogue's rows.
@Suite("A transport meets a faulty server", .timeLimit(.minutes(10)))
struct TransportFaultTests {
    typealias Answer = ScriptedServer.Answer

    @Test(
        "a body cut short fails after the bytes that came (D-08, D-09)",
        arguments: [
            ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", TransportError.Code.bodyTruncated),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", .bodyTruncated),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", .bodyTruncated),
        ]
    )
    func truncated(text: String, expected: TransportError.Code) async throws {
        try await TransportFixture.run(.init(), Answer(.text(text), .close)) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(response.lengthIsProven)
            #expect(try await response.body.next()?.bytes == Array("abc".utf8))
            #expect(try await code { _ = try await response.body.next() } == expected)
        }
    }

    @Test("a body that ends with its connection is complete, and not proven (D-09)")
    func closeDelimited() async throws {
        try await TransportFixture.run(.init(), Answer(.text("HTTP/1.1 200 OK\r\n\r\nabc"), .close)) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(!response.lengthIsProven)
            #expect(try await response.collect(limit: 3) == Array("abc".utf8))
        }
    }

    @Test("bytes beyond the announced length are dropped with their connection (D-10)")
    func tooMany() async throws {
        let answer = Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdefgh"))
        try await TransportFixture.run(.init(), answer, .ok()) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(try await response.collect(limit: 10) == Array("abc".utf8))
            #expect(try await fixture.transport.send(fixture.request()).collect(limit: 10) == Array("ok".utf8))
            #expect(fixture.server.connectionCount == 2)
        }
    }

    @Test("more bytes than the caller's limit fail the body (D-10)")
    func overLimit() async throws {
        let answer = Answer(.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nabcdefgh\r\n0\r\n\r\n"))
        try await TransportFixture.run(.init(), answer) { fixture in
            var request = try fixture.request()
            request.bodyLimit = 7
            let response = try await fixture.transport.send(request)
            #expect(try await code { _ = try await drain(response.body) } == .bodyTooLong)
        }
    }

    @Test("interim heads and trailers pass by (D-30)")
    func interim() async throws {
        let text =
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nETag: \"late\"\r\nContent-Length: 9\r\n\r\n"
        try await TransportFixture.run(.init(), Answer(.text(text)), .ok()) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(response.status == 200)
            #expect(response.headers.map(\.name) == ["Transfer-Encoding"])
            #expect(try await response.collect(limit: 2) == Array("ok".utf8))
            _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
            #expect(fixture.server.connectionCount == 1)
        }
    }

    @Test("folded lines and Latin-1 values are read")
    func folded() async throws {
        let head =
            Array("HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nL: ".utf8) + [0xE9] + Array("\r\nContent-Length: 0\r\n\r\n".utf8)
        try await TransportFixture.run(.init(), Answer(.bytes(head))) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(response.headers["A"] == "b c")
            #expect(response.headers["L"] == "é")
        }
    }

    static let violations: [[ScriptedServer.Step]] = [
        // D-30, D-31: floods.
        [.repeated("HTTP/1.1 103 Early Hints\r\n\r\n", 100), .text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        [.text("HTTP/1.1 200 OK\r\n"), .repeated("A: b\r\n", 300), .text("\r\n")],
        [.text("HTTP/1.1 200 OK\r\nA: "), .repeated("x", 90_000), .text("\r\n\r\n")],
        [.text("HTTP/1.1 200 OK\r\n"), .repeated("A: \(String(repeating: "x", count: 2000))\r\n", 40), .text("\r\n")],
        // D-31: forbidden bytes.
        [.text("HTTP/1.1 200 OK\r\nA: b\u{0}c\r\n\r\n")], [.text("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n")],
        [.text("HTTP/1.1 200 OK\nA: b\n\n")], [.text("HTTP/1.1 200 OK\r\nno field\r\n\r\n")],
        [.text("HTTP/1.1 200 OK\r\nA : b\r\n\r\n")],
        // D-32: not HTTP/1.
        [.text("SSH-2.0-OpenSSH_9.2\r\n"), .close], [.text("<html>old</html>"), .close],
        [.text("HTTP/2 200\r\n\r\n"), .close], [.text("HTTP/1.1 20\r\n\r\n"), .close],
        [.text("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n")],
        // D-35: framing in conflict. D-12: encoded for transfer.
        [.text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")],
        [.text("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc")],
        [.text("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc")],
        [.text("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc")],
        [.text("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")],
        [.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")],
    ]

    @Test("what is not clean HTTP/1 is refused, and its connection not used again", arguments: violations.indices)
    func violation(index: Int) async throws {
        let steps = TransportFaultTests.violations[index]
        let fixture = TransportFixture { number, _ in number == 0 ? Answer(steps: steps) : .ok() }
        defer { fixture.stop() }
        let code = try await code { _ = try await fixture.transport.send(fixture.request()) }
        #expect(code == .protocolViolation, "\(steps)")
        _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
        #expect(fixture.server.connectionCount == 2)
    }

    @Test("a reset in mid-body is a lost connection (N-03)")
    func reset() async throws {
        let sent = Latch()
        let answer = Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"), .wait(sent), .reset)
        try await TransportFixture.run(.init(), answer) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            sent.open()
            #expect(try await code { _ = try await drain(response.body) } == .connectionLost)
        }
    }

    @Test("nobody listening is a failed connect that names the reason")
    func refused() async throws {
        let fixture = TransportFixture { _, _ in .ok() }
        let request = try fixture.request("GET", "/x?signature=secret")
        fixture.server.stop()
        defer { fixture.transport.shutdown() }
        do {
            _ = try await fixture.transport.send(request)
            Issue.record("it connected")
        } catch let error as TransportError {
            #expect(error.code == .connectFailed)
            #expect(error.description.contains("refused"))
            #expect(!error.description.contains("secret"))
        }
    }

    @Test(
        "a kept connection that the server closed: reads are repeated at once, writes are the caller's decision (N-19)"
    )
    func stale() async throws {
        for method in ["GET", "PUT"] {
            let second = Latch()
            let fixture = TransportFixture { index, _ in
                // The second request reaches the kept connection, and gets a closed door.
                index == 1 ? Answer(.wait(second), .close) : .ok()
            }
            defer { fixture.stop() }
            second.open()
            _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
            var request = try fixture.request(method)
            if method == "PUT" { request.body = .bytes([1, 2, 3]) }
            let code = try await code { _ = try await fixture.transport.send(request).collect(limit: 10) }
            #expect(code == (method == "PUT" ? .staleConnection : nil))
            #expect(fixture.server.requests.count == (method == "PUT" ? 2 : 3))
            _ = try await fixture.transport.send(request).collect(limit: 10)
            #expect(fixture.server.requests.last?.body == (method == "PUT" ? [1, 2, 3] : []))
        }
    }

    @Test("what is no answer on a kept connection is what an earlier answer had too much: the connection is stale")
    func excess() async throws {
        let fixture = TransportFixture { index, _ in
            index == 1 ? Answer(.text(String(repeating: "x", count: 70_000))) : .ok()
        }
        defer { fixture.stop() }
        _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
        let code = try await code { _ = try await fixture.transport.send(fixture.request()).collect(limit: 10) }
        #expect(code == .staleConnection)
        _ = try await fixture.transport.send(fixture.request()).collect(limit: 10)
        #expect(fixture.server.connectionCount == 2)
    }

    @Test("an early refusal stops the upload", arguments: [307, 403, 503])
    func earlyAnswer(status: Int) async throws {
        let answer = Answer(
            .text("HTTP/1.1 \(status) No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"),
            readsBody: false
        )
        try await TransportFixture.run(.init(), answer) { fixture in
            var request = try fixture.request("PUT")
            let sent = Atomic(0)
            request.socketBuffer = 64 << 10
            request.body = .chunks(Chunk.chunks(of: [UInt8](repeating: 1, count: 32 << 20), from: fixture.pool))
            request.onSent = { sent.add($0, ordering: .relaxed) }
            let response = try await fixture.transport.send(request)
            #expect(response.status == status)
            #expect(try await response.collect(limit: 2) == Array("no".utf8))
            #expect(sent.load(ordering: .relaxed) < 32 << 20)
        }
    }

    @Test("a redirect hop may not reach a private address, a user's own URL may (D-28)")
    func privateAddress() async throws {
        try await TransportFixture.run(.init(), .ok()) { fixture in
            var request = try fixture.request()
            request.addressPolicy = .publicOnly
            #expect(try await code { _ = try await fixture.transport.send(request) } == .forbiddenTarget)
            #expect(fixture.server.connectionCount == 0)
            request.addressPolicy = .notMetadata
            _ = try await fixture.transport.send(request).collect(limit: 10)
            // The connection is kept now: the policy holds for reuse, too.
            request.addressPolicy = .publicOnly
            #expect(try await code { _ = try await fixture.transport.send(request) } == .forbiddenTarget)
        }
    }

    @Test("a proxy gets the whole URL, and its refusals are its own (N-15)")
    func proxy() async throws {
        let proxy = ScriptedServer { _, request in
            request.line.hasPrefix("CONNECT")
                ? Answer(.text("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"), .close) : .ok()
        }
        defer { proxy.stop() }
        var configuration = TransportConfiguration()
        configuration.proxy = .url("http://user:s3cret@127.0.0.1:\(proxy.port)")
        let fixture = TransportFixture(configuration) { _, _ in .ok() }
        defer { fixture.stop() }
        let plain = HTTPRequest("GET", try #require(HTTPURL("http://name.invalid/a/../b?c")))
        let response = try await fixture.transport.send(plain)
        #expect(response.peer == nil)
        #expect(proxy.requests.first?.line == "GET http://name.invalid/a/../b?c HTTP/1.1")
        let secure = HTTPRequest("GET", try #require(HTTPURL("https://name.invalid/")))
        #expect(try await code { _ = try await fixture.transport.send(secure) } == .proxyUnauthorised)
        var inner = HTTPRequest("GET", try #require(HTTPURL("http://169.254.169.254/latest")))
        inner.addressPolicy = .notMetadata
        #expect(try await code { _ = try await fixture.transport.send(inner) } == .forbiddenTarget)
    }

    @Test("417 to Expect is the caller's to repeat without it, and consent lets the body go (N-18)")
    func expectation() async throws {
        let fixture = TransportFixture { index, _ in
            index == 0 ? Answer(.text("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"), .close, readsBody: false) : .ok()
        }
        defer { fixture.stop() }
        var request = try fixture.request("PUT")
        request.expectContinue = true
        request.body = .bytes([UInt8](repeating: 7, count: 2 << 20))
        #expect(try await fixture.transport.send(request).status == 417)
        #expect(try await fixture.transport.send(request).status == 200)
        #expect(fixture.server.requests.last?.field("Expect") == "100-continue")
        #expect(fixture.server.requests.last?.body.count == 2 << 20)
    }
}
