import SluiceBytes
import Synchronization

/// Hands chunks from the loop's thread to one consumer. Holds at most the window's chunks: the loop asks before it
/// gathers more, and is told when there is room again.
final class BodyChannel: Sendable {
    /// What the consumer's side tells the loop.
    enum Signal: Sendable {
        case roomAgain
        case abandoned
    }

    private struct State {
        var ready: [Chunk] = []
        var waiter: CheckedContinuation<Chunk?, any Error>?
        var end: Result<Void, any Error>?
        var loopWaits = false
    }

    private enum Outcome {
        case chunk(Chunk, wakeLoop: Bool)
        case end(Result<Void, any Error>)
        case wait
    }

    private let state = Mutex(State())
    private let window: Int
    private let signal: @Sendable (Signal) -> Void

    init(window: Int, signal: @escaping @Sendable (Signal) -> Void) {
        self.window = max(1, window)
        self.signal = signal
    }

    // MARK: The loop's side

    /// Whether the window is full; if so, `roomAgain` is signalled once a chunk was taken.
    func isFull() -> Bool {
        state.withLock { state in
            guard state.ready.count >= window else { return false }
            state.loopWaits = true
            return true
        }
    }

    /// Whether the consumer waits for bytes now.
    var isAwaited: Bool { state.withLock { $0.waiter != nil } }

    func offer(_ chunk: Chunk) {
        let waiter: CheckedContinuation<Chunk?, any Error>? = state.withLock { state in
            if state.end != nil { return nil }
            if let waiter = state.waiter.take() { return waiter }
            state.ready.append(chunk)
            return nil
        }
        waiter?.resume(returning: chunk)
    }

    /// No more chunks will come. What is ready is still handed out first. Later ends change nothing.
    func finish(_ result: Result<Void, any Error>) {
        let waiter: CheckedContinuation<Chunk?, any Error>? = state.withLock { state in
            if state.end == nil { state.end = result }
            return state.waiter.take()
        }
        waiter?.resume(with: result.map { nil })
    }

    // MARK: The consumer's side

    func next() async throws -> Chunk? {
        switch take(waiting: nil) {
        case .chunk(let chunk, let wakeLoop):
            if wakeLoop { signal(.roomAgain) }
            return chunk
        case .end(let result):
            try result.get()
            return nil
        case .wait: break
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                switch take(waiting: continuation) {
                case .chunk(let chunk, let wakeLoop):
                    if wakeLoop { signal(.roomAgain) }
                    continuation.resume(returning: chunk)
                case .end(let result): continuation.resume(with: result.map { nil })
                case .wait: break
                }
            }
        } onCancel: {
            abandon()
        }
    }

    /// Drops what is ready and lets go of the connection, if the body is not complete already.
    func abandon() {
        let wasOpen = state.withLock { state in
            let wasCut = !state.ready.isEmpty
            state.ready = []
            guard state.end == nil else {
                if wasCut { state.end = .failure(CancellationError()) }
                return false
            }
            state.end = .failure(CancellationError())
            return true
        }
        guard wasOpen else { return }
        finish(.failure(CancellationError()))
        signal(.abandoned)
    }

    private func take(waiting continuation: CheckedContinuation<Chunk?, any Error>?) -> Outcome {
        state.withLock { state in
            if !state.ready.isEmpty {
                let chunk = state.ready.removeFirst()
                let wakeLoop = state.loopWaits && state.ready.count < window
                if wakeLoop { state.loopWaits = false }
                return .chunk(chunk, wakeLoop: wakeLoop)
            }
            if let end = state.end { return .end(end) }
            precondition(state.waiter == nil, "a ByteStream has one consumer at a time")
            state.waiter = continuation
            return .wait
        }
    }
}

/// The consumer's end of a `BodyChannel`. Letting go of it abandons the body.
final class CurlBody: ByteStream {
    private let channel: BodyChannel

    init(_ channel: BodyChannel) {
        self.channel = channel
    }

    func next() async throws -> Chunk? { try await channel.next() }

    func cancel() { channel.abandon() }

    deinit {
        channel.abandon()
    }
}
