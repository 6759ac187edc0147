import Glibc
import SluiceBytes
import Synchronization

/// Runs tasks on threads of its own, on which blocking is allowed.
///
/// Swift's own pool has one thread per core: two calls of `fsync` would stop every task on a small machine. All of a
/// transfer's steps prefer this executor, so that `pread`, `pwrite` and `fsync` are called in place, without a hop, and
/// never on the shared pool or on the transport's thread.
///
/// At most one thread is on its way up at a time: it takes a job, and wakes the next if there is more. A hundred tasks
/// that become ready at once do not wake every thread to fight for a lock and two cores.
public final class BlockingExecutor: TaskExecutor, @unchecked Sendable {
    // Unchecked: the C mutex, a heap cell that never moves, guards all that follows the semaphore.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUps = Semaphore()
    private var jobs: [UnownedJob] = []
    private var head = 0
    private var idle = 0
    private var isWaking = false

    /// The program's executor. Its threads live as long as the process.
    public static let shared = BlockingExecutor(threads: max(8, 2 * sysconf(Int32(_SC_NPROCESSORS_ONLN))))

    private init(threads: Int) {
        pthread_mutex_init(mutex, nil)
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
        let wakes = takeWake()
        pthread_mutex_unlock(mutex)
        if wakes { wakeUps.post() }
    }

    /// Whether the caller, who holds the mutex, has to wake a thread once he lets go of it.
    private func takeWake() -> Bool {
        guard idle > 0, !isWaking, head < jobs.count else { return false }
        isWaking = true
        return true
    }

    private func work() {
        let executor = asUnownedTaskExecutor()
        while true {
            let (job, wakes) = take()
            if wakes { wakeUps.post() }
            job.runSynchronously(on: executor)
        }
    }

    private func take() -> (UnownedJob, wakes: Bool) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == jobs.count {
            idle += 1
            pthread_mutex_unlock(mutex)
            wakeUps.wait()
            pthread_mutex_lock(mutex)
            idle -= 1
            isWaking = false
        }
        let job = jobs[head]
        head += 1
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 1024 {
            jobs.removeFirst(head)
            head = 0
        }
        return (job, takeWake())
    }
}
