import SluicePipeline
import Synchronization

/// A clock that moves only when a test moves it.
public final class ManualTime: TimeSource {
    private struct Sleeper {
        let id: Int
        let due: Duration
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Duration = .zero
        var nextID = 0
        var sleepers: [Sleeper] = []
        var cancelled: Set<Int> = []
        var slept: [Duration] = []
    }

    private let state = Mutex(State())
    private let advancesItself: Bool

    /// - Parameter advancesItself: every sleep ends at once and moves the clock by its length.
    public init(advancesItself: Bool = false) {
        self.advancesItself = advancesItself
    }

    /// The manual time.
    public func now() -> Duration { state.withLock { $0.now } }

    /// The manual time as seconds since 1970.
    public func wallSeconds() -> Int64 { state.withLock { $0.now.components.seconds } }

    /// The length of every sleep that was asked for.
    public var slept: [Duration] { state.withLock { $0.slept } }

    /// How many tasks sleep now.
    public var sleeperCount: Int { state.withLock { $0.sleepers.count } }

    /// Moves the clock and wakes who is due.
    public func advance(by duration: Duration) {
        let due: [Sleeper] = state.withLock { state in
            state.now += duration
            let due = state.sleepers.filter { $0.due <= state.now }
            state.sleepers.removeAll { $0.due <= state.now }
            return due
        }
        for sleeper in due { sleeper.continuation.resume() }
    }

    /// Sleeps until the clock was moved far enough.
    public func sleep(for duration: Duration) async throws {
        try Task.checkCancellation()
        let id = state.withLock { state in
            state.slept.append(duration)
            state.nextID += 1
            if advancesItself { state.now += duration }
            return state.nextID
        }
        if advancesItself || duration <= .zero { return await Task.yield() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let cancelled = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return true }
                    state.sleepers.append(Sleeper(id: id, due: state.now + duration, continuation: continuation))
                    return false
                }
                if cancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let sleeper: Sleeper? = state.withLock { state in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}
