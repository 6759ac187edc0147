import Synchronization

/// A value under a lock that closures can share: a local `Mutex` cannot be captured by a task.
public final class Locked<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    /// Guards `value`.
    public init(_ value: Value) {
        state = Mutex(value)
    }

    /// Runs `body` alone.
    public func withLock<R: Sendable>(_ body: (inout Value) throws -> R) rethrows -> R {
        try state.withLock { value in
            var copy = value
            defer { value = copy }
            return try body(&copy)
        }
    }
}
