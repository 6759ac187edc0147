import CLinux
import Glibc

extension OwnedDescriptor {
    /// Opens a name below `directory` (or below the working directory), never leaking it to child processes.
    package static func open(
        _ name: [UInt8],
        in directory: OwnedDescriptor? = nil,
        _ flags: Int32,
        mode: mode_t = 0
    ) throws(SystemFailure) -> OwnedDescriptor {
        let raw = try SystemFailure.check("open") {
            name.withCPath { openat(directory?.raw ?? AT_FDCWD, $0, flags | O_CLOEXEC, mode) }
        }
        return OwnedDescriptor(raw)
    }

    /// What `fstat(2)` tells.
    package func status() throws(SystemFailure) -> FileStatus {
        var raw = stat()
        try SystemFailure.check("fstat") { fstat(self.raw, &raw) }
        return FileStatus(raw)
    }

    /// Reads until `buffer` is full or the file ends, and tells how much that was. `pread(2)` may return less than it
    /// was asked for at any time.
    package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemFailure) -> Int {
        var done = 0
        while done < buffer.count {
            let position = try OwnedDescriptor.position(offset, done)
            let count = try SystemFailure.check("read") {
                pread(raw, buffer.baseAddress.map { $0 + done }, buffer.count - done, position)
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Makes this file share the bytes of another; false where the file systems cannot. ioctl_ficlonerange(2):
    /// EOPNOTSUPP, EINVAL or ENOTTY if one of them does not do it, EXDEV across two.
    package func clone(from source: OwnedDescriptor) throws(SystemFailure) -> Bool {
        do throws(SystemFailure) {
            try SystemFailure.check("clone") { sluice_clone(raw, source.raw) }
            return true
        } catch {
            if [EOPNOTSUPP, EINVAL, ENOTTY, EXDEV].contains(error.number) { return false }
            throw error
        }
    }

    /// Reserves room for a file of `size` bytes, so that a full disk is met before the first byte, not after the last.
    /// Its length stays what was written.
    package func reserve(_ size: UInt64) throws(SystemFailure) {
        guard size > 0 else { return }
        if try SystemFailure.check("fstatfs", { sluice_is_tmpfs(raw) }) == 1 { return try requireRoom(for: size) }
        guard let count = Int64(exactly: size) else { throw SystemFailure("fallocate", EFBIG) }
        do {
            try SystemFailure.check("fallocate") { sluice_reserve(raw, count) }
        } catch let error where [ENOTSUP, ENOSYS, EINVAL].contains(error.number) {
            // fallocate(2): not every file system can; the write itself then meets the full disk.
        }
    }

    /// On a tmpfs a reservation costs as much as writing the bytes, and spares nothing.
    private func requireRoom(for size: UInt64) throws(SystemFailure) {
        let written = try status().size
        guard size > written, let room = FreeRoom(of: self) else { return }
        if size - written > room.bytes.bytes { throw SystemFailure("fallocate", ENOSPC) }
    }

    /// Writes all of `bytes`. `pwrite(2)`: "it is not an error if fewer bytes are transferred than requested".
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemFailure) {
        var done = 0
        while done < bytes.count {
            let position = try OwnedDescriptor.position(offset, done)
            done += try SystemFailure.check("write") {
                pwrite(raw, bytes.baseAddress.map { $0 + done }, bytes.count - done, position)
            }
        }
    }

    /// Writes at the start of the file.
    package func write(_ bytes: [UInt8]) throws(SystemFailure) {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(SystemFailure) in try write(buffer, at: 0) }
        }
        try outcome.get()
    }

    private static func position(_ offset: UInt64, _ done: Int) throws(SystemFailure) -> off_t {
        let (sum, overflow) = offset.addingReportingOverflow(UInt64(done))
        guard !overflow, let position = off_t(exactly: sum) else { throw SystemFailure("seek", EFBIG) }
        return position
    }
}
