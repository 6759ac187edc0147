import Glibc
import Synchronization

/// Runs tasks on threads of its own, on which blocking is allowed.
///
/// Swift's own pool has one thread per core: two calls of `fsync` would stop every task on a small machine. All of a
/// transfer's steps prefer this executor, so that `pread`, `pwrite`, `fsync` and SQLite are called in place, without
/// a hop, and never on the shared pool or on the transport's thread.
public final class BlockingExecutor: TaskExecutor, @unchecked Sendable {
    // Unchecked: the C mutex and condition guard `jobs` and `stopping`; they are heap cells that never move.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [UnownedJob] = []
    private var head = 0

    /// The program's executor. Its threads live as long as the process.
    public static let shared = BlockingExecutor(threads: max(8, 2 * sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    private init(threads: Int) {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        for _ in 0..<threads { start() }
    }

    private func start() {
        var thread = pthread_t()
        let context = Unmanaged.passUnretained(self).toOpaque()
        let status = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<BlockingExecutor>.fromOpaque(context).takeUnretainedValue().work()
                return nil
            },
            context
        )
        guard status == 0 else { preconditionFailure("no thread could be started: \(status)") }
        pthread_detach(thread)
    }

    /// Queues a job; any thread.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(mutex)
        jobs.append(job)
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    private func work() {
        let executor = asUnownedTaskExecutor()
        while true {
            pthread_mutex_lock(mutex)
            while head == jobs.count { pthread_cond_wait(condition, mutex) }
            let job = jobs[head]
            head += 1
            if head == jobs.count {
                jobs.removeAll(keepingCapacity: true)
                head = 0
            } else if head > 1024 {
                jobs.removeFirst(head)
                head = 0
            }
            pthread_mutex_unlock(mutex)
            job.runSynchronously(on: executor)
        }
    }
}
