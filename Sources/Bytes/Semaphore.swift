import Glibc

/// sem_overview(7), in a heap cell that never moves. No condition variable: glibc before 2.41 can lose a signal
/// (sourceware bug 25847), a semaphore counts.
package final class Semaphore: @unchecked Sendable {
    private let cell = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    package init() { sem_init(cell, 0, 0) }

    deinit {
        sem_destroy(cell)
        cell.deallocate()
    }

    package func post() { sem_post(cell) }

    /// Blocks until there is one to take.
    package func wait() {
        // EINTR: a signal came; whoever was to be woken is still to be.
        while sem_wait(cell) != 0 {}
    }
}
