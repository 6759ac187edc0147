import SluicePipeline
import Synchronization

/// Stops everything at the n-th step, as `kill -9` would: that step and all after it fail and have no effect.
public final class KillSwitch: Sendable {
    /// What a step that never happened throws. Not a `SluiceError`: nothing may take it for an answer.
    public struct Killed: Error {
        /// Dead.
        public init() {}
    }

    private struct State {
        var steps = 0
        var dead = false
    }

    private let state = Mutex(State())
    private let limit: Int

    /// - Parameter limit: the step, from 1, that does not happen; 0: all happen.
    public init(at limit: Int = 0) {
        self.limit = limit
    }

    /// Whether the limit was reached.
    public var isDead: Bool { state.withLock { $0.dead } }

    /// How many steps were asked for.
    public var steps: Int { state.withLock { $0.steps } }

    /// Books a step.
    public func step() throws {
        let dead = state.withLock { state in
            state.steps += 1
            if state.steps == limit { state.dead = true }
            return state.dead
        }
        if dead { throw Killed() }
    }
}

/// Failures that a test lays ready: each is thrown once, in order, by the step it was laid for.
public final class FaultPlan: Sendable {
    private let faults: Mutex<[String: [any Error]]>

    /// No failures.
    public init(_ faults: [String: [any Error]] = [:]) {
        self.faults = Mutex(faults)
    }

    /// Lays a failure for `step`.
    public func add(_ error: any Error, to step: String, times: Int = 1) {
        faults.withLock { $0[step, default: []] += Array(repeating: error, count: times) }
    }

    /// Throws what was laid for `step`, if anything is left of it.
    public func pass(_ step: String) throws {
        let error: (any Error)? = faults.withLock { faults in
            guard faults[step]?.isEmpty == false else { return nil }
            return faults[step]?.removeFirst()
        }
        if let error { throw error }
    }
}
