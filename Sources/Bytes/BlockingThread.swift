import Glibc

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
            var thread: pthread_t = 0
            let pointer = Unmanaged.passRetained(work).toOpaque()
            let code = pthread_create(
                &thread,
                nil,
                { pointer in
                    guard let pointer else { return nil }
                    Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body()
                    return nil
                },
                pointer
            )
            // Without a thread the work is done here: late is better than never.
            guard code == 0 else { return Unmanaged<Work>.fromOpaque(pointer).takeRetainedValue().body() }
            pthread_detach(thread)
        }
    }
}
