internal import CLinux
import Glibc
import SluiceBytes
import Synchronization

/// The system's own calls. Each durable effect is a step for crash tests, before it and after it.
package struct SystemOperations: StoreOperations {
    package init() {}

    package func openRoot(_ path: LocalPath) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
    }

    package func makeRoot(_ path: LocalPath) throws(SystemFailure) {
        try durable("mkdir") { path.bytes.withCPath { mkdir($0, 0o777) } }
    }

    package func openDirectory(
        _ name: StoreName,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(name.bytes, in: directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    package func open(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(name.bytes, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
    }

    package func openDirect(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(name.bytes, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | sluice_direct_flag())
    }

    package func dropCache(of file: OwnedDescriptor) throws(SystemFailure) {
        let number = posix_fadvise(file.raw, 0, 0, POSIX_FADV_DONTNEED)
        if number != 0 { throw SystemFailure("posix_fadvise", number) }
    }

    package func create(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        CrashPoint.step()
        defer { CrashPoint.step() }
        let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
        return try OwnedDescriptor.open(name.bytes, in: directory, flags, mode: 0o600)
    }

    package func reopen(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(name.bytes, in: directory, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
    }

    package func makeDirectory(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) {
        try durable("mkdir") { name.bytes.withCPath { mkdirat(directory.raw, $0, 0o777) } }
    }

    package func names(in directory: OwnedDescriptor) throws(SystemFailure) -> [[UInt8]] {
        try DirectoryNames.read(directory)
    }

    package func status(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> FileStatus {
        try FileStatus(name.bytes, in: directory)
    }

    package func status(of file: OwnedDescriptor) throws(SystemFailure) -> FileStatus { try file.status() }

    package func read(
        _ file: OwnedDescriptor,
        into buffer: UnsafeMutableRawBufferPointer,
        at offset: UInt64
    ) throws(SystemFailure) -> Int {
        try file.read(into: buffer, at: offset)
    }

    package func write(
        _ bytes: UnsafeRawBufferPointer,
        to file: OwnedDescriptor,
        at offset: UInt64
    ) throws(SystemFailure) {
        try file.write(bytes, at: offset)
    }

    package func reserve(_ size: UInt64, for file: OwnedDescriptor) throws(SystemFailure) { try file.reserve(size) }

    package func startWriteBack(of file: OwnedDescriptor) { file.startWriteBack() }

    package func clone(_ source: OwnedDescriptor, into target: OwnedDescriptor) throws(SystemFailure) {
        try SystemFailure.check("clone") { sluice_clone(target.raw, source.raw) }
    }

    package func setMode(_ mode: UInt32, of file: OwnedDescriptor) throws(SystemFailure) {
        try SystemFailure.check("fchmod") { fchmod(file.raw, mode) }
    }

    package func touch(_ file: OwnedDescriptor) throws(SystemFailure) {
        // Null times: "both timestamps are set to the current time", of the server, which a client may not choose.
        try SystemFailure.check("futimens") { futimens(file.raw, nil) }
    }

    package func sync(_ file: OwnedDescriptor) throws(SystemFailure) {
        try durable("fsync") { fsync(file.raw) }
    }

    package func flush(_ file: OwnedDescriptor) throws(SystemFailure) {
        // Each close(2) of an open file flushes, not only its last one; a duplicate keeps the descriptor's one owner.
        let duplicate = try SystemFailure.check("dup") { fcntl(file.raw, F_DUPFD_CLOEXEC, 0) }
        // close(2): "retrying the close() after a failure return is the wrong thing to do", EINTR included.
        if close(duplicate) != 0, errno != EINTR { throw SystemFailure("close", errno) }
    }

    package func syncDirectory(_ directory: OwnedDescriptor) throws(SystemFailure) {
        try durable("fsync") { fsync(directory.raw) }
    }

    /// Side by side: each waits for the disk to empty its cache, and does that once for all who wait.
    package func syncDirectories(_ directories: [OwnedDescriptor]) -> [SystemFailure?] {
        let failures = Mutex([SystemFailure?](repeating: nil, count: directories.count))
        BlockingThread.each(directories.count, most: directories.count) { number in
            do throws(SystemFailure) {
                try syncDirectory(directories[number])
            } catch {
                failures.withLock { $0[number] = error }
            }
        }
        return failures.withLock { $0 }
    }

    package func link(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try pair("link", from, to) { linkat($0, $1, $2, $3, 0) }
    }

    package func renameWithoutReplacing(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try pair("rename", from, to) { sluice_rename_noreplace($0, $1, $2, $3) }
    }

    package func rename(_ from: StoreEntry, to: StoreEntry) throws(SystemFailure) {
        try pair("rename", from, to) { renameat($0, $1, $2, $3) }
    }

    package func unlink(_ entry: StoreEntry) throws(SystemFailure) {
        try durable("unlink") { entry.name.bytes.withCPath { unlinkat(entry.directory.descriptor.raw, $0, 0) } }
    }

    package func removeDirectory(_ entry: StoreEntry) throws(SystemFailure) {
        try durable("rmdir") {
            entry.name.bytes.withCPath { unlinkat(entry.directory.descriptor.raw, $0, AT_REMOVEDIR) }
        }
    }

    private func pair(
        _ call: String,
        _ from: StoreEntry,
        _ to: StoreEntry,
        _ body: (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>) -> Int32
    ) throws(SystemFailure) {
        try durable(call) {
            from.name.bytes.withCPath { source in
                to.name.bytes.withCPath { target in
                    body(from.directory.descriptor.raw, source, to.directory.descriptor.raw, target)
                }
            }
        }
    }

    private func durable(_ call: String, _ body: () -> Int32) throws(SystemFailure) {
        CrashPoint.step()
        defer { CrashPoint.step() }
        try SystemFailure.check(call, body)
    }
}
