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
            let work = Work { continuation.resume(returning: body()) }
            // Without a thread the work is done here: late is better than never.
            guard let thread = start(work) else { return work.body() }
            pthread_detach(thread)
        }
    }

    /// Calls `body` with each number below `count`, in any order, on as many as `most` threads, of which the caller's is
    /// one; returns after the last call.
    package static func each(_ count: Int, most: Int, _ body: @Sendable (Int) -> Void) {
        let next = Atomic(0)
        withoutActuallyEscaping(body) { body in
            let work = Work {
                while true {
                    let number = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard number < count else { return }
                    body(number)
                }
            }
            let threads = (1..<max(1, min(count, most))).compactMap { _ in start(work) }
            work.body()
            for thread in threads { pthread_join(thread, nil) }
        }
    }

    /// Nil if the system has no thread left.
    private static func start(_ work: Work) -> pthread_t? {
        var thread: pthread_t = 0
        let pointer = Unmanaged.passRetained(work)
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
        guard code != 0 else { return thread }
        pointer.release()
        return nil
    }
}
