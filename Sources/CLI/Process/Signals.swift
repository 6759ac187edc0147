import Dispatch
import Glibc
import Synchronization

/// The write end of the pipe that wakes us, for the handler: which may touch nothing but atomics.
private let wakeDescriptor = Atomic<Int32>(-1)
/// Interrupts so far.
private let interruptCount = Atomic<Int>(0)

/// Interrupts by the user and the system: the first is a request, the second an order.
enum Signals {
    private static let watched = [SIGINT, SIGTERM, SIGHUP]

    /// The first of SIGINT, SIGTERM and SIGHUP from now on; nil if the task is cancelled before. A second one ends
    /// the process at once, by the default action. Signals that the parent ignored (`nohup`) stay ignored.
    static func firstInterrupt() async -> Int32? {
        for await signal in interrupts() { return signal }
        return nil
    }

    private static func interrupts() -> AsyncStream<Int32> {
        AsyncStream { continuation in
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { return continuation.finish() }
            let (read, write) = (ends[0], ends[1])
            for end in ends {
                _ = fcntl(end, F_SETFD, FD_CLOEXEC)
                _ = fcntl(end, F_SETFL, O_NONBLOCK)
            }
            wakeDescriptor.store(write, ordering: .sequentiallyConsistent)
            let source = DispatchSource.makeReadSource(fileDescriptor: read)
            // The handlers hold the source, so that it lives until it is cancelled.
            source.setEventHandler {
                var byte: UInt8 = 0
                while Glibc.read(read, &byte, 1) == 1 {
                    if byte == 0 { return source.cancel() }
                    continuation.yield(Int32(byte))
                }
            }
            source.setCancelHandler {
                wakeDescriptor.store(-1, ordering: .sequentiallyConsistent)
                close(read)
                close(write)
            }
            continuation.onTermination = { _ in
                // No signal has the number 0: it says that nobody waits any more.
                var byte: UInt8 = 0
                _ = Glibc.write(write, &byte, 1)
            }
            source.activate()
            for signal in watched { install(signal) }
        }
    }

    private static func install(_ signal: Int32) {
        var old = sigaction()
        guard sigaction(signal, nil, &old) == 0, !isIgnored(old) else { return }
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { signal in
            let saved = errno
            if interruptCount.add(1, ordering: .sequentiallyConsistent).newValue > 1 {
                // Delivered when the handler returns, because the signal is blocked in here.
                Glibc.signal(signal, SIG_DFL)
                raise(signal)
            } else {
                var byte = UInt8(truncatingIfNeeded: signal)
                write(wakeDescriptor.load(ordering: .sequentiallyConsistent), &byte, 1)
            }
            errno = saved
        }
        action.sa_flags = SA_RESTART
        sigaction(signal, &action, nil)
    }

    private static func isIgnored(_ action: sigaction) -> Bool {
        // SIG_IGN is the number 1 in a function pointer's clothes, which Swift cannot compare.
        withUnsafeBytes(of: action.__sigaction_handler) { $0.load(as: Int.self) == 1 }
    }

    /// Ends the process by the signal's default action, so that a shell's loop ends too.
    static func end(by signal: Int32) -> Never {
        Glibc.signal(signal, SIG_DFL)
        // raise(3) is to this thread, and libdispatch's threads block every signal.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, signal)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(signal)
        exit(128 + signal)
    }
}
