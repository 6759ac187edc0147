import CLinux
import Synchronization

/// Tells when the kernel should begin to write out what a large file got so far. Left alone it keeps gigabytes dirty,
/// and the fsync at the end has to wait for all of them.
package final class WriteBackPace: Sendable {
    /// Bytes between two beginnings: large enough for the disk's longest requests.
    package static let step = 16 << 20
    private let written = Atomic<Int>(0)

    package init() {}

    /// Whether another step is full, now that `count` more bytes were written.
    package func isDue(after count: Int) -> Bool {
        let total = written.wrappingAdd(count, ordering: .relaxed)
        return total.oldValue / WriteBackPace.step != total.newValue / WriteBackPace.step
    }
}

extension OwnedDescriptor {
    /// Begins to write out what is dirty. A failure is told by the fsync, which comes anyway: sync_file_range(2) has not
    /// waited for anything that it could have taken the error of.
    package func startWriteBack() { _ = sluice_start_write_back(raw) }
}
