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

    /// Returns after the next ring, at once if it rang since the last wait or if the task is cancelled.
    func wait() async {
        await withTaskCancellationHandler {
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
        } onCancel: {
            ring()
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

    /// Runs `body`, cancelled as soon as the switch is thrown. A body that succeeds all the same has succeeded.
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
            if let first = try await group.next(), let result = first { return result }
            group.cancelAll()
            let last: R??
            do {
                last = try await group.next()
            } catch {
                // Whatever a cancelled body throws, the user's wish is why.
                throw CancellationError()
            }
            guard let last, let result = last else { throw CancellationError() }
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
