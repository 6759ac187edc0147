import SluiceBytes
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceTransport

/// Counts what passes, and lets nothing pass while its clock stands still beyond its allowance.
private final class ScriptedGate: FlowGate {
    let booked = Atomic(0)
    let waits = Atomic(0)
    var bytesPerSecond: UInt64? { 1 << 30 }
    private let everyNth: Int
    private let calls = Atomic(0)

    init(everyNth: Int) { self.everyNth = everyNth }

    func book(_ count: Int) -> Duration {
        booked.add(count, ordering: .relaxed)
        let call = calls.add(1, ordering: .relaxed).newValue
        guard call % everyNth == 0 else { return .zero }
        waits.add(1, ordering: .relaxed)
        return .microseconds(200)
    }
}

/// A clock that a test moves.
private final class HandClock: Sendable {
    private let time = Mutex(Duration.seconds(1000))
    var now: Duration { time.withLock { $0 } }
    func advance(_ step: Duration) { time.withLock { $0 += step } }
}

@Suite("A transport's flow", .timeLimit(.minutes(10)))
struct TransportFlowTests {
    typealias Answer = ScriptedServer.Answer

    static func body(_ size: Int) -> Answer {
        Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n"), .pattern(size))
    }

    @Test("an unread body holds the window and the chunk that fills, and no more")
    func window() async throws {
        try await TransportFixture.run(.init(), Self.body(32 << 20)) { fixture in
            var request = try fixture.request()
            request.window = 2
            let received = Atomic(0)
            let full = Latch()
            request.onReceived = { count in
                let sum = received.add(count, ordering: .relaxed).newValue
                if sum > (3 << 20) - (16 << 10) - 1 { full.open() }
            }
            let response = try await fixture.transport.send(request)
            await full.wait()
            #expect(fixture.pool.usage.peak == 3)
            #expect(received.load(ordering: .relaxed) <= 3 << 20)
            #expect(try await drain(response.body) == 32 << 20)
            // One more than the window and the filling one: the chunk in the consumer's hands.
            #expect(fixture.pool.usage.peak <= 4)
            #expect(fixture.pool.usage.live == 0)
        }
    }

    @Test("a gate is asked once for each byte, down and up")
    func gates() async throws {
        let size = 3 << 20
        try await TransportFixture.run(.init(), Self.body(size)) { fixture in
            var request = try fixture.request("PUT")
            let (down, up) = (ScriptedGate(everyNth: 3), ScriptedGate(everyNth: 3))
            request.downloadGate = down
            request.uploadGate = up
            let bytes = SampleBytes.make(size)
            request.body = .bytes(bytes)
            let response = try await fixture.transport.send(request)
            #expect(try await drain(response.body) == size)
            #expect(fixture.server.requests.first?.body == bytes)
            for gate in [down, up] {
                #expect(gate.booked.load(ordering: .relaxed) == size)
                #expect(gate.waits.load(ordering: .relaxed) > 10)
            }
        }
    }

    @Test("a waiting consumer gets a chunk that is not full once it is old")
    func partial() async throws {
        let more = Latch()
        let answer = Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), .wait(more), .text("cd"))
        try await TransportFixture.run(.init(), answer) { fixture in
            let response = try await fixture.transport.send(fixture.request())
            #expect(try await response.body.next()?.bytes == Array("ab".utf8))
            more.open()
            #expect(try await response.body.next()?.bytes == Array("cd".utf8))
            #expect(try await response.body.next() == nil)
        }
    }

    @Test("silence is a stall after the idle timeout, an unread window never is")
    func stall() async throws {
        let clock = HandClock()
        var configuration = TransportConfiguration()
        configuration.clock = { clock.now }
        let never = Latch()
        let silent = Answer(.text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), .wait(never))
        let fixture = TransportFixture(configuration) { index, _ in index == 0 ? Self.body(8 << 20) : silent }
        defer {
            never.open()
            fixture.stop()
        }
        var request = try fixture.request()
        request.idleTimeout = .seconds(30)
        let quietRequest = request
        let received = Atomic(0)
        let full = Latch()
        request.onReceived = { count in
            if received.add(count, ordering: .relaxed).newValue > (3 << 20) - (16 << 10) - 1 { full.open() }
        }
        let unread = try await fixture.transport.send(request)
        await full.wait()
        clock.advance(.seconds(3600))
        let quiet = try await fixture.transport.send(quietRequest)
        clock.advance(.seconds(31))
        fixture.transport.wake()
        #expect(try await code { _ = try await drain(quiet.body) } == .stalled)
        #expect(try await drain(unread.body) == 8 << 20)
    }

    @Test("a read that drips is stalled, the answer to a write may drip (N-02)", arguments: ["GET", "POST"])
    func drip(method: String) async throws {
        let clock = HandClock()
        var configuration = TransportConfiguration()
        configuration.clock = { clock.now }
        let drops = (0..<4).map { _ in Latch() }
        let head = ScriptedServer.Step.text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        let answer = Answer(steps: [head] + drops.flatMap { [.wait($0), .text("x")] })
        try await TransportFixture.run(configuration, answer) { fixture in
            defer { for drop in drops { drop.open() } }
            let received = Atomic(0)
            var request = try fixture.request(method)
            request.idleTimeout = .seconds(30)
            request.onReceived = { received.add($0, ordering: .relaxed) }
            let response = try await fixture.transport.send(request)
            for count in 1...2 {
                clock.advance(.seconds(10))
                drops[count - 1].open()
                await until { received.load(ordering: .relaxed) == count }
            }
            clock.advance(.seconds(11))
            fixture.transport.wake()
            if method == "GET" {
                #expect(try await code { _ = try await drain(response.body) } == .stalled)
            } else {
                for drop in drops { drop.open() }
                #expect(try await drain(response.body) == 4)
            }
        }
    }

    @Test("cancelling a task ends the wait for a head, and the connection")
    func cancelHead() async throws {
        let never = Latch()
        let fixture = TransportFixture { _, _ in Answer(.wait(never)) }
        defer { fixture.stop() }
        let request = try fixture.request()
        let transport = fixture.transport
        let task = Task { try await transport.send(request) }
        await fixture.server.received(1)
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        never.open()
        await fixture.server.ended(1)
    }

    @Test("letting go of an unfinished body drops its connection")
    func abandon() async throws {
        try await TransportFixture.run(.init(), Self.body(64 << 20)) { fixture in
            let first = try await fixture.transport.send(fixture.request())
            first.body.cancel()
            await fixture.server.ended(1)
            await #expect(throws: CancellationError.self) { try await first.body.next() }
            _ = try await fixture.transport.send(fixture.request()).status
            await fixture.server.ended(2)
        }
        // The fixture has stopped: nothing holds a buffer.
    }

    @Test("200 cancellations under load disturb nobody else")
    func manyCancellations() async throws {
        let size = 4 << 20
        let fixture = TransportFixture { _, _ in Self.body(size) }
        defer { fixture.stop() }
        let request = try fixture.request()
        let transport = fixture.transport
        let (whole, cut) = try await withThrowingTaskGroup(of: Int?.self) { group in
            for index in 0..<220 {
                group.addTask {
                    let task = Task { try await drain(try await transport.send(request).body) }
                    if index % 11 != 0 {
                        for _ in 0..<(index % 7) { await Task.yield() }
                        task.cancel()
                    }
                    do {
                        return try await task.value
                    } catch is CancellationError {
                        return nil
                    }
                }
            }
            var (whole, cut) = (0, 0)
            while let result = try await group.next() {
                if result == size { whole += 1 }
                if result == nil { cut += 1 }
            }
            return (whole, cut)
        }
        #expect(whole >= 20)
        #expect(whole + cut == 220)
        // A cut exchange lets go of its chunk on the loop's own thread.
        await until { fixture.pool.usage.live == 0 }
    }

    @Test("no more connections are made to an origin than allowed")
    func connectionLimit() async throws {
        var configuration = TransportConfiguration()
        configuration.connectionsPerHost = 3
        let fixture = TransportFixture(configuration) { _, _ in .ok() }
        defer { fixture.stop() }
        let request = try fixture.request()
        let transport = fixture.transport
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 { group.addTask { _ = try await transport.send(request).collect(limit: 10) } }
            try await group.waitForAll()
        }
        #expect(fixture.server.requests.count == 50)
        #expect(fixture.server.connectionCount <= 3)
    }

    @Test("a transport that was shut down ends what runs and refuses what comes")
    func shutdown() async throws {
        let never = Latch()
        let fixture = TransportFixture { _, _ in Answer(.wait(never)) }
        let request = try fixture.request()
        let transport = fixture.transport
        let task = Task { try await transport.send(request) }
        await fixture.server.received(1)
        transport.shutdown()
        transport.shutdown()
        #expect(try await code { _ = try await task.value } == .shutDown)
        #expect(try await code { _ = try await transport.send(request) } == .shutDown)
        never.open()
        fixture.server.stop()
    }

    @Test("the trace names fields and hides their secrets")
    func trace() async throws {
        let lines = Mutex<[String]>([])
        var configuration = TransportConfiguration()
        configuration.trace = { line in lines.withLock { $0.append(line) } }
        try await TransportFixture.run(configuration, .ok()) { fixture in
            var request = try fixture.request("GET", "/x?X-Amz-Signature=s3cret")
            request.headers["Authorization"] = "Bearer s3cret"
            request.headers["x-amz-security-token"] = "s3cret"
            _ = try await fixture.transport.send(request).collect(limit: 10)
        }
        let text = lines.withLock { $0.joined(separator: "\n") }
        #expect(text.contains("Authorization: ‹hidden›"))
        #expect(text.contains("GET /x?…"))
        #expect(!text.contains("s3cret"))
    }

    @Test("the trace hides what a server repeats of a request's secrets")
    func repeated() async throws {
        let lines = Mutex<[String]>([])
        var configuration = TransportConfiguration()
        configuration.trace = { line in lines.withLock { $0.append(line) } }
        let head = [
            "HTTP/1.1 200 by s3cret-0123", "ETag: \"s3cret-0123\"", "Server: a s3cret-4567", "Content-Type: a/b",
        ]
        let answer = ScriptedServer.Answer(.text((head + ["Content-Length: 0", "", ""]).joined(separator: "\r\n")))
        try await TransportFixture.run(configuration, answer) { fixture in
            var request = try fixture.request("GET", "/x")
            request.headers["Authorization"] = "Bearer s3cret-0123"
            request.headers["Cookie"] = "a=b; session=s3cret-4567"
            _ = try await fixture.transport.send(request).collect(limit: 10)
        }
        let text = lines.withLock { $0.joined(separator: "\n") }
        for line in ["< ‹hidden›", "< ETag: ‹hidden›", "< Server: ‹hidden›", "< Content-Type: a/b"] {
            #expect(text.contains(line))
        }
        #expect(!text.contains("s3cret"))
    }
}
