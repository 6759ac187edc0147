import Synchronization

/// A bell that one task waits for and anyone may ring; rings are merged.
final class WakeUp: Sendable {
    private struct State {
        var rung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    func ring() {
        let waiter = state.withLock { state in
            state.rung = state.waiter == nil
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Returns after the next ring, at once if it rang since the last wait.
    func wait() async {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state in
                if state.rung {
                    state.rung = false
                    return true
                }
                state.waiter = continuation
                return false
            }
            if ready { continuation.resume() }
        }
    }
}

/// Cancels one transfer from outside its task.
final class CancelSwitch: Sendable {
    private struct State {
        var reason: TransferState?
        var waiter: CheckedContinuation<Void, Never>?
        var over = false
    }

    private let state = Mutex(State())

    /// Why it was cancelled: the state that the user gave it, or `queued` when the program stops.
    var reason: TransferState? { state.withLock { $0.reason } }

    func cancel(_ reason: TransferState) {
        let waiter = state.withLock { state in
            state.reason = state.reason ?? reason
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Runs `body`, cancelled as soon as the switch is thrown.
    func guarding<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                await self.thrown()
                return nil
            }
            defer {
                end()
                group.cancelAll()
            }
            guard let first = try await group.next(), let result = first else { throw CancellationError() }
            return result
        }
    }

    private func thrown() async {
        await withCheckedContinuation { continuation in
            let ready = state.withLock { state in
                if state.reason != nil || state.over { return true }
                state.waiter = continuation
                return false
            }
            if ready { continuation.resume() }
        }
    }

    private func end() {
        let waiter = state.withLock { state in
            state.over = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }
}
