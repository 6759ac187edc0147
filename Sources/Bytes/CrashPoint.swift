import Glibc
import Synchronization

/// Counts the durable steps of a process, and kills it at the one that `SLUICE_CRASH_AT` names.
///
/// Crash tests sweep the number from 1 until a run ends by itself: every instruction between two durable steps is
/// the same to the disk and to a server. SIGKILL, because nothing may tidy up.
package enum CrashPoint {
    private static let target: Int = getenv("SLUICE_CRASH_AT").flatMap { Int(String(cString: $0)) } ?? 0
    private static let steps = Atomic<Int>(0)

    /// Call it directly before and directly after every durable effect: a synced write, a rename, a request that
    /// changes a server, a database commit.
    package static func step() {
        guard target > 0 else { return }
        if steps.add(1, ordering: .relaxed).newValue == target { kill(getpid(), SIGKILL) }
    }
}
