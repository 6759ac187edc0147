import Synchronization

/// Lets tasks through one at a time, in the order in which they came, across suspensions.
///
/// A part's memory must be reserved before the part is taken, and the lowest part first: otherwise memory could be
/// full of parts that wait for the hash of one that waits for memory.
final class Turnstile: Sendable {
    private struct State {
        var occupied = false
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    /// Runs `body` alone.
    func pass<R: Sendable>(_ body: () async throws -> R) async rethrows -> R {
        await enter()
        defer { leave() }
        return try await body()
    }

    private func enter() async {
        await withCheckedContinuation { continuation in
            let free = state.withLock { state in
                if state.occupied {
                    state.waiters.append(continuation)
                    return false
                }
                state.occupied = true
                return true
            }
            if free { continuation.resume() }
        }
    }

    private func leave() {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            if state.waiters.isEmpty {
                state.occupied = false
                return nil
            }
            return state.waiters.removeFirst()
        }
        next?.resume()
    }
}

/// Lets numbered steps happen in the order of their numbers.
final class Sequencer: Sendable {
    private struct State {
        var next: Int
        var failure: (any Error)?
        var waiters: [Int: CheckedContinuation<Void, any Error>] = [:]
    }

    private let state: Mutex<State>

    init(first: Int = 0) {
        state = Mutex(State(next: first))
    }

    /// Returns when it is the turn of `number`.
    func wait(for number: Int) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let outcome: Result<Void, any Error>? = state.withLock { state in
                if let failure = state.failure { return .failure(failure) }
                if state.next >= number { return .success(()) }
                state.waiters[number] = continuation
                return nil
            }
            if let outcome { continuation.resume(with: outcome) }
        }
    }

    /// The step `number` is over: lets the next one go.
    func advance(past number: Int) {
        let waiter = state.withLock { state in
            state.next = number + 1
            return state.waiters.removeValue(forKey: number + 1)
        }
        waiter?.resume()
    }

    /// Wakes everyone with `error`.
    func fail(_ error: any Error) {
        let waiters = state.withLock { state in
            state.failure = state.failure ?? error
            defer { state.waiters = [:] }
            return state.waiters.values.map { $0 }
        }
        for waiter in waiters { waiter.resume(throwing: error) }
    }
}
