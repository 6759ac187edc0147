import SluiceBytes
import SluiceTestSupport
import SluiceTransport
import Synchronization
import Testing

/// A scripted server and a transport that talks to it, both ended with the test.
struct TransportFixture {
    let server: ScriptedServer
    let pool = BufferPool()
    let transport: CurlTransport

    init(
        _ configuration: TransportConfiguration = TransportConfiguration(),
        answering answers: @escaping @Sendable (Int, ScriptedServer.Request) -> ScriptedServer.Answer
    ) {
        server = ScriptedServer(answering: answers)
        var configuration = configuration
        // Tests count connections, and other tests may hold every thread for a minute between two requests.
        configuration.keptIdle = 3600
        transport = CurlTransport(configuration, pool: pool)
    }

    /// A request that waits longer than any test: a machine may be slow, and slower under a sanitizer. Tests of
    /// timeouts set them, and move the clock by hand.
    func request(_ method: String = "GET", _ path: String = "/object") throws -> HTTPRequest {
        var request = HTTPRequest(method, try #require(HTTPURL("http://127.0.0.1:\(server.port)\(path)")))
        request.idleTimeout = .seconds(3600)
        request.responseTimeout = .seconds(3600)
        return request
    }

    func stop() {
        transport.shutdown()
        server.stop()
    }

    /// Runs `body` with a fixture that gives the n-th request the n-th answer.
    static func run(
        _ configuration: TransportConfiguration = TransportConfiguration(),
        _ answers: ScriptedServer.Answer...,
        body: (TransportFixture) async throws -> Void
    ) async throws {
        let fixture = TransportFixture(configuration) { index, _ in answers[min(index, answers.count - 1)] }
        defer { fixture.stop() }
        try await body(fixture)
    }
}

/// Reads a body to its end, and counts.
func drain(_ body: any ByteStream) async throws -> Int {
    var count = 0
    while let chunk = try await body.next() { count += chunk.count }
    return count
}

/// The code of the error that `body` throws; nil if it throws none.
func code(of body: () async throws -> Void) async throws -> TransportError.Code? {
    do {
        try await body()
        return nil
    } catch let error as TransportError {
        return error.code
    }
}
