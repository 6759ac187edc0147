import SluiceBytes
import Synchronization

/// HTTP/1.1 over libcurl: one thread, one pool of connections.
///
/// Use one for the process. `shutdown` joins the thread and must come before the process exits.
public final class CurlTransport: HTTPClient {
    private let loop: CurlLoop
    private let configuration: TransportConfiguration
    private let pool: BufferPool
    private let lastID = Atomic<UInt64>(0)

    /// A transport whose bodies arrive in buffers of `pool`.
    public init(_ configuration: TransportConfiguration = TransportConfiguration(), pool: BufferPool) {
        self.configuration = configuration
        self.pool = pool
        loop = CurlLoop(configuration)
    }

    deinit {
        loop.stop()
    }

    /// Sends `request` and returns when the answer's head is there; its body follows as it is pulled.
    public func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        do {
            return try await exchange(request)
        } catch let error as TransportError where error.code == .unknownHost {
            if try await HostLookup.isUnknown(request.url.bareHost) { throw error }
            throw TransportError(.resolverFailed, error.message, curlCode: error.curlCode)
        }
    }

    private func exchange(_ request: HTTPRequest) async throws -> HTTPResponse {
        try Task.checkCancellation()
        let id = lastID.add(1, ordering: .relaxed).newValue
        let loop = loop
        let channel = BodyChannel(window: request.window) { signal in
            switch signal {
            case .roomAgain: loop.post(.roomAgain(id))
            case .abandoned: loop.post(.cancel(id))
            }
        }
        let exchange = Exchange(
            id: id,
            request: request,
            configuration: configuration,
            pool: pool,
            channel: channel
        )
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                exchange.answer = continuation
                if !loop.post(.start(exchange)) {
                    exchange.end(TransportError(.shutDown, "the transport was shut down"))
                }
            }
        } onCancel: {
            exchange.cancelRequested.store(true, ordering: .releasing)
            loop.post(.cancel(id))
        }
    }

    /// Ends every exchange with `.shutDown` and waits for the thread. Later requests are refused.
    public func shutdown() { loop.stop() }

    /// Makes the loop look at the clock, for tests that move it by hand.
    package func wake() { loop.wake() }
}
