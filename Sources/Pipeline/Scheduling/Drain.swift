import Synchronization

/// Lets a transfer that is told to stop save its parts in flight: they are finished and journalled, no other is begun.
///
/// Only while a session begins, parts are moving or their sum is committed; at any other time there is nothing to save,
/// and whoever asks cancels the transfer.
public final class Drain: Sendable {
    private struct State {
        var isRequested = false
        var isHeld = false
    }

    private let state = Mutex(State())

    /// One that nobody asked for yet.
    public init() {}

    /// Whether parts that are not begun are left to a later run.
    var isRequested: Bool { state.withLock { $0.isRequested } }

    /// From here to `letGo` the transfer ends by itself when it is asked to.
    ///
    /// - Throws: `CancellationError` if it was asked before.
    func hold() throws {
        let isLate = state.withLock { state in
            state.isHeld = !state.isRequested
            return state.isRequested
        }
        if isLate { throw CancellationError() }
    }

    func letGo() { state.withLock { $0.isHeld = false } }

    /// Asks for it; false if the transfer must be cancelled, because it would not end by itself.
    func request() -> Bool {
        state.withLock { state in
            state.isRequested = true
            return state.isHeld
        }
    }
}
