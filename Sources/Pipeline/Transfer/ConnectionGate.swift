import Synchronization

/// How many connections a host takes for one object: as many as the lanes want, until it refuses one while it serves
/// others; from then on as many as it serves.
///
/// A lane whose connection was refused does not ask again: it waits here for one that ends. The lowest part goes first,
/// for the hash waits for it. Whoever holds a turn waits for no memory, so that turns always come back.
final class ConnectionGate: Sendable {
    private struct Waiter {
        let part: Int
        let continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var limit: Int?
        /// Lanes that have a turn.
        var open = 0
        /// Those of them that the host answered.
        var served = 0
        var isOver = false
        var waiters: [Waiter] = []

        var hasRoom: Bool { limit.map { open < $0 } ?? true }

        /// The waiters whose turn has come.
        mutating func admitted() -> [Waiter] {
            var admitted: [Waiter] = []
            while hasRoom, let next = waiters.indices.min(by: { waiters[$0].part < waiters[$1].part }) {
                open += 1
                admitted.append(waiters.remove(at: next))
            }
            return admitted
        }
    }

    private let state: Mutex<State>

    /// - Parameter limit: what is known of the host; nil: it refused none.
    init(limit: Int? = nil) {
        state = Mutex(State(limit: limit.map { max(1, $0) }))
    }

    /// Whether one more connection could be opened now.
    var hasRoom: Bool { state.withLock { $0.hasRoom } }

    /// Whether the host serves none.
    var isIdle: Bool { state.withLock { $0.served == 0 } }

    /// Waits for a turn.
    ///
    /// - Throws: `CancellationError` when the transfer is over.
    func enter(for part: Int) async throws {
        let isAdmitted = await withCheckedContinuation { continuation in
            let outcome: Bool? = state.withLock { state in
                if state.isOver { return false }
                if state.hasRoom {
                    state.open += 1
                    return true
                }
                state.waiters.append(Waiter(part: part, continuation: continuation))
                return nil
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
        guard isAdmitted else { throw CancellationError() }
    }

    /// Gives the turn up.
    func leave() {
        admit { $0.open -= 1 }
    }

    /// The host serves one more connection; returns the limit if that raised it.
    func beginServed() -> Int? {
        admit { state in
            state.served += 1
            guard let limit = state.limit, state.served > limit else { return nil }
            state.limit = state.served
            return state.served
        }
    }

    /// That connection ended.
    func endServed() {
        state.withLock { $0.served -= 1 }
    }

    /// The host refused a connection: returns how many it serves, which is the limit now; nil if it serves none, so
    /// that only time can help.
    func refused() -> Int? {
        state.withLock { state in
            guard state.served > 0 else { return nil }
            state.limit = state.served
            return state.served
        }
    }

    /// The transfer is over: lets every waiting lane go.
    func finish() {
        let waiters = state.withLock { state in
            state.isOver = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(returning: false) }
    }

    private func admit<R: Sendable>(_ change: (inout State) -> R) -> R {
        let (result, admitted) = state.withLock { state in
            let result = change(&state)
            return (result, state.admitted())
        }
        for waiter in admitted { waiter.continuation.resume(returning: true) }
        return result
    }
}
