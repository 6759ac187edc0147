import CLinux
import Glibc
import SluiceBytes
import Synchronization

/// How often a sink asked the disk for durability, for tests and `-vv`.
package struct SyncCounts: Hashable, Sendable {
    /// `fsync(2)` of files.
    package var files = 0
    /// `syncfs(2)` of whole file systems.
    package var fileSystems = 0
    /// `fsync(2)` of directories.
    package var directories = 0
}

/// The calls that make room for files and make them durable; a test puts failing ones in their place.
package struct SyncCalls: Sendable {
    package typealias Call = @Sendable (OwnedDescriptor) throws(SystemFailure) -> Void

    package var file: Call = { file throws(SystemFailure) in
        try SystemFailure.check("fsync") { fsync(file.raw) }
    }
    package var fileSystem: Call = { file throws(SystemFailure) in
        try SystemFailure.check("syncfs") { sluice_syncfs(file.raw) }
    }
    /// Tells, after a `syncfs`, whether the bytes of this one file were lost: kernels before 5.8 do not report that
    /// through `syncfs`, later ones do not say which file.
    package var writeBackStatus: Call = { file throws(SystemFailure) in
        try SystemFailure.check("sync_file_range") { sluice_write_back_status(file.raw) }
    }
    /// Reserves room for so many bytes.
    package var reserve: @Sendable (OwnedDescriptor, UInt64) throws(SystemFailure) -> Void = {
        (file, size) throws(SystemFailure) in try file.reserve(size)
    }
    /// Begins to write out what a file got so far.
    package var startWriteBack: @Sendable (OwnedDescriptor) -> Void = { $0.startWriteBack() }
    package var directory: Call = { directory throws(SystemFailure) in
        do throws(SystemFailure) {
            try SystemFailure.check("fsync") { fsync(directory.raw) }
        } catch let error where [EINVAL, ENOTSUP].contains(error.number) {
            // fsync(2): "fd is bound to a special file which does not support synchronization": some network and FUSE
            // file systems say so of directories, and there is no other way to ask.
        }
    }

    package init() {}

    /// The same calls, each counted in `counts` before it is made.
    func counted(_ counters: SyncCounters) -> SyncCalls {
        var calls = self
        calls.file = { [file] (target) throws(SystemFailure) in
            counters.add(\.files)
            try file(target)
        }
        calls.fileSystem = { [fileSystem] (target) throws(SystemFailure) in
            counters.add(\.fileSystems)
            try fileSystem(target)
        }
        calls.directory = { [directory] (target) throws(SystemFailure) in
            counters.add(\.directories)
            try directory(target)
        }
        return calls
    }
}

/// Counts of one sink.
package final class SyncCounters: Sendable {
    private let state = Mutex(SyncCounts())

    package init() {}

    /// The counts so far.
    package var counts: SyncCounts { state.withLock { $0 } }

    func add(_ member: WritableKeyPath<SyncCounts, Int>) {
        state.withLock { $0[keyPath: member] += 1 }
    }
}
