import Glibc

/// Wakes the one thread that waits for a condition of somebody else's state, or lets it go on after a while.
package final class GatherSignal: @unchecked Sendable {
    // Unchecked: the C mutex guards the condition; both are heap cells that never move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    package init() {
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // The wall clock may be set while we wait.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// What the waiting thread looks at has changed.
    package func signal() {
        // With the mutex, or the signal could fall between the thread's look and its wait.
        pthread_mutex_lock(mutex)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Returns once `count` reaches `wanted`, or did not grow for as long as `patience`.
    package func gather(_ wanted: Int, patience: Duration, count: () -> Int) {
        var before = -1
        var now = count()
        while now < wanted, now > before {
            before = now
            wait(for: patience) { count() >= wanted }
            now = count()
        }
    }

    /// Returns once `isReady`, at the latest after `limit`.
    package func wait(for limit: Duration, until isReady: () -> Bool) {
        guard !isReady() else { return }
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        let nanoseconds = deadline.tv_nsec + Int(limit / .nanoseconds(1))
        deadline.tv_sec += nanoseconds / 1_000_000_000
        deadline.tv_nsec = nanoseconds % 1_000_000_000
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !isReady() {
            if pthread_cond_timedwait(condition, mutex, &deadline) != 0 { return }
        }
    }
}
