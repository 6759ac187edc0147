import Synchronization

/// Work that costs the same for one as for many: whoever comes first leads a round, and what arrives while it is under
/// way goes together in the next one.
///
/// A round runs in its leader's task, so it may block where that may. One that gathers waits while others keep coming
/// (`GatherPolicy`).
public final class Rounds<Item: Sendable, Outcome: Sendable>: Sendable {
    private enum Turn: Sendable {
        case lead([Waiter])
        case ended(Outcome)
    }

    private struct Waiter: Sendable {
        let item: Item
        let continuation: CheckedContinuation<Turn, Never>
    }

    private struct State {
        var isRunning = false
        var waiting: [Waiter] = []
        var policy: GatherPolicy
        /// How many have joined the round that gathers now.
        var joined = 0
        var count: Int { joined + waiting.count }
        var isEnough: Bool { count >= policy.wanted }
    }

    private let state: Mutex<State>
    private let patience: Duration?
    private let gathered = GatherSignal()
    private let perform: @Sendable ([Item]) -> [Outcome]

    /// - Parameters:
    ///   - patience: the silence after which a round gathers no longer; nil where rounds last long enough for the next
    ///     to gather.
    ///   - most: how many are waited for.
    ///   - perform: an outcome for each item, in order.
    public init(
        patience: Duration? = nil,
        most: Int = GatherPolicy.most,
        _ perform: @escaping @Sendable ([Item]) -> [Outcome]
    ) {
        state = Mutex(State(policy: GatherPolicy(most: most)))
        self.patience = patience
        self.perform = perform
    }

    /// Items waiting for the next round, for tests.
    public var waitingCount: Int { state.withLock { $0.waiting.count } }

    /// Returns when the round with `item` in it is over.
    public func join(_ item: Item) async -> Outcome {
        let turn = await withCheckedContinuation { continuation in
            let (leads, isEnough) = state.withLock { state in
                if state.isRunning {
                    state.waiting.append(Waiter(item: item, continuation: continuation))
                    return (false, state.isEnough)
                }
                state.isRunning = true
                return (true, false)
            }
            if leads { continuation.resume(returning: Turn.lead([])) }
            if isEnough, patience != nil { gathered.signal() }
        }
        switch turn {
        case .ended(let outcome): return outcome
        case .lead(let others): return lead(item, others)
        }
    }

    private func lead(_ own: Item, _ first: [Waiter]) -> Outcome {
        let others = first + gather(1 + first.count)
        let outcomes = perform([own] + others.map(\.item))
        for (waiter, outcome) in zip(others, outcomes.dropFirst()) {
            waiter.continuation.resume(returning: .ended(outcome))
        }
        let next: Waiter? = state.withLock { state in
            state.isRunning = !state.waiting.isEmpty
            return state.waiting.first
        }
        if let next {
            // Only the leader takes from the list, and the next leader starts here: what came meanwhile goes with it.
            let rest = state.withLock { state in
                defer { state.waiting = [] }
                return Array(state.waiting.dropFirst())
            }
            next.continuation.resume(returning: .lead(rest))
        }
        return outcomes[0]
    }

    /// Those who come while it is worth waiting for them.
    private func gather(_ joined: Int) -> [Waiter] {
        guard let patience else { return [] }
        let wanted = state.withLock { state in
            state.joined = joined
            return state.policy.wanted
        }
        gathered.gather(wanted, patience: patience) { state.withLock { $0.count } }
        return state.withLock { state in
            defer { state.waiting = [] }
            state.policy.carried(joined + state.waiting.count)
            return state.waiting
        }
    }
}
