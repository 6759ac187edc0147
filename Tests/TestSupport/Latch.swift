import Glibc
import Synchronization

/// Opens once. Tasks and threads wait for it without sleeping.
public final class Latch: Sendable {
    private struct State {
        var isOpen = false
        var waiters: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    /// A closed latch.
    public init() {}

    /// Lets everyone pass from now on.
    public func open() {
        let waiters = state.withLock { state in
            state.isOpen = true
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter() }
    }

    /// Suspends the task until the latch is open.
    public func wait() async {
        await withCheckedContinuation { continuation in whenOpen { continuation.resume() } }
    }

    /// Blocks the thread until the latch is open. For server threads only, never in a task.
    public func block() {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { preconditionFailure("no pipe for a latch") }
        let (reader, writer) = (ends[0], ends[1])
        whenOpen { close(writer) }
        var byte: UInt8 = 0
        // Nothing is ever written: the end of the pipe is the latch's opening.
        _ = read(reader, &byte, 1)
        close(reader)
    }

    /// Calls `action` once the latch is open: now, or from `open`.
    public func whenOpen(_ action: @escaping @Sendable () -> Void) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.waiters.append(action) }
            return state.isOpen
        }
        if isOpen { action() }
    }
}
