import Glibc
import Synchronization

/// Threads that help callers with many short pieces of blocking work. They stay: to start one costs more than many a sync.
///
/// A caller never waits for a helper that has not begun: with all of them busy it does its work alone.
final class HelperThreads: Sendable {
    /// Work that may be joined: `body` takes pieces until none is left.
    private final class Share: Sendable {
        let body: @Sendable () -> Void
        let ended = Semaphore()

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private struct State {
        var offers: [Share] = []
        var idle = 0
        var threads = 0
    }

    static let shared = HelperThreads()
    private static let most = 16

    private let state = Mutex(State())
    private let wakeUps = Semaphore()

    /// Runs `body` here and on as many as `helpers` other threads; returns when all that began have ended.
    func run(helpers: Int, _ body: @escaping @Sendable () -> Void) {
        let share = Share(body)
        offer(share, helpers)
        body()
        let left = state.withLock { state in
            let before = state.offers.count
            state.offers.removeAll { $0 === share }
            return before - state.offers.count
        }
        for _ in 0..<(helpers - left) { share.ended.wait() }
    }

    private func offer(_ share: Share, _ helpers: Int) {
        let (woken, started) = state.withLock { state in
            state.offers += repeatElement(share, count: helpers)
            let woken = min(helpers, state.idle)
            // Who is woken is idle no longer, though it may take him a while: the next caller counts on others.
            state.idle -= woken
            let started = min(helpers - woken, HelperThreads.most - state.threads)
            state.threads += started
            return (woken, started)
        }
        for _ in 0..<woken { wakeUps.post() }
        for _ in 0..<started where !BlockingThread.start(detached: { self.work() }) {
            state.withLock { $0.threads -= 1 }
        }
    }

    private func work() {
        while true {
            let share: Share? = state.withLock { state in
                guard state.offers.isEmpty else { return state.offers.removeFirst() }
                state.idle += 1
                return nil
            }
            if let share {
                share.body()
                share.ended.post()
            } else {
                wakeUps.wait()
            }
        }
    }
}
