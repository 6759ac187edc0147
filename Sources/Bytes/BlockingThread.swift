import Glibc
import Synchronization

/// Runs blocking work on a thread of its own: the cooperative pool has about one thread per core.
package enum BlockingThread {
    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Calls `body` there and returns what it returned.
    package static func run<R: Sendable>(_ body: @escaping @Sendable () -> R) async -> R {
        await withCheckedContinuation { continuation in
            let work: @Sendable () -> Void = { continuation.resume(returning: body()) }
            // Without a thread the work is done here: late is better than never.
            if !start(detached: work) { work() }
        }
    }

    /// Calls `body` with each number below `count`, in any order, on as many as `most` threads, of which the caller's is
    /// one; returns after the last call.
    package static func each(_ count: Int, most: Int, _ body: @escaping @Sendable (Int) -> Void) {
        let next = Atomic(0)
        HelperThreads.shared.run(helpers: max(0, min(count, most) - 1)) {
            while true {
                let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard number < count else { return }
                body(number)
            }
        }
    }

    /// False if the system has no thread left.
    static func start(detached body: @escaping @Sendable () -> Void) -> Bool {
        var thread: pthread_t = 0
        let pointer = Unmanaged.passRetained(Work(body))
        let code = pthread_create(
            &thread,
            nil,
            { pointer in
                guard let pointer else { return nil }
                Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
                return nil
            },
            pointer.toOpaque()
        )
        guard code == 0 else {
            pointer.release()
            return false
        }
        pthread_detach(thread)
        return true
    }
}
