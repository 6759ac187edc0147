import Synchronization

/// How many lanes of an object work now: grows while another connection brings more, shrinks when the host complains.
///
/// Pure decisions with times given from outside; lanes that are not admitted wait here.
final class LaneGate: Sendable {
    private struct State {
        var allowed: Int
        var finished = false
        var waiters: [CheckedContinuation<Void, Never>] = []
        var windowStart: Duration?
        var windowBytes: UInt64 = 0
        var lastRate: Double = 0
        var settled = false
        /// What the host's connections can feed; nil: any number.
        var cap: Int?

        func admits(_ index: Int) -> Bool { index < min(allowed, cap ?? .max) }
    }

    private let state: Mutex<State>
    private let maximum: Int

    /// The time over which one number of lanes is measured before another is tried.
    private static let window: Duration = .milliseconds(500)
    /// The gain in rate that one more lane must bring to be kept.
    private static let worthwhile = 1.1

    init(initial: Int, maximum: Int) {
        self.maximum = max(1, maximum)
        state = Mutex(State(allowed: min(max(1, initial), max(1, maximum))))
    }

    var allowed: Int { state.withLock { min($0.allowed, $0.cap ?? .max) } }

    /// Waits until lane `index` may take work; false when the work is over.
    func admit(_ index: Int) async -> Bool {
        while true {
            let outcome: Bool? = state.withLock { state in
                if state.finished { return false }
                return state.admits(index) ? true : nil
            }
            if let outcome { return outcome }
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    if state.finished || state.admits(index) { return true }
                    state.waiters.append(continuation)
                    return false
                }
                if ready { continuation.resume() }
            }
        }
    }

    /// Bytes arrived. At the end of a window, decides about another lane.
    func received(_ bytes: UInt64, now: Duration) {
        let woken: [CheckedContinuation<Void, Never>] = state.withLock { state in
            guard !state.settled else { return [] }
            guard let start = state.windowStart else {
                state.windowStart = now
                return []
            }
            state.windowBytes += bytes
            guard now - start >= LaneGate.window else { return [] }
            let rate = Double(state.windowBytes) / ((now - start) / .seconds(1))
            state.windowStart = now
            state.windowBytes = 0
            return grow(&state, rate)
        }
        for waiter in woken { waiter.resume() }
    }

    private func grow(_ state: inout State, _ rate: Double) -> [CheckedContinuation<Void, Never>] {
        guard rate > state.lastRate * LaneGate.worthwhile, state.allowed < maximum else {
            state.settled = true
            return []
        }
        state.lastRate = rate
        state.allowed += 1
        defer { state.waiters = [] }
        return state.waiters
    }

    /// The host refused or throttled: half as many, and no more growth.
    func backOff() {
        state.withLock { state in
            state.allowed = max(1, state.allowed / 2)
            state.settled = true
        }
    }

    /// The host takes so many connections: one lane more, to complete a part while another one is fetched.
    func follow(connections: Int) {
        let waiters = state.withLock { state in
            state.cap = connections + 1
            state.settled = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Nothing is left: lets every waiting lane go.
    func finish() {
        let waiters = state.withLock { state in
            state.finished = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume() }
    }
}
