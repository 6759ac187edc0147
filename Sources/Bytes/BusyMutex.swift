import Glibc

/// A mutex for state that all threads touch all the time, for as long as a few instructions take.
///
/// Swift's own is a priority-inheriting futex on Linux: once it is contended the kernel hands it from waiter to waiter,
/// and every turn costs a switch of threads (futex(2), FUTEX_LOCK_PI). POSIX lets whoever runs take it.
package final class BusyMutex<Value: Sendable>: @unchecked Sendable {
    // Unchecked: the C mutex guards `value`; it is a heap cell that never moves.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private var value: Value

    package init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Runs `body` with the value; not reentrant.
    package func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}
