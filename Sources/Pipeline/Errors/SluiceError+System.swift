import Glibc
import SluiceBytes

extension SluiceError {
    /// The error that a failed system call means for the file `object`.
    ///
    /// - Parameters:
    ///   - action: what was being done, as in "could not `action`".
    ///   - object: the path of the file; of a full file system it is told what is left there.
    ///   - retry: overrides what the table says, where the caller knows better (a failed fsync).
    package init(_ failure: SystemFailure, _ action: String, object: String, retry: Retry? = nil) {
        let row = SluiceError.row(failure.number)
        let room = row.code == .noSpace ? SluiceError.room(near: object) : nil
        self.init(
            row.code,
            object: object,
            "could not \(action): \(failure.reason)" + (room.map { "; \($0)" } ?? ""),
            remedy: room.flatMap { SluiceError.remedy($0) } ?? row.remedy,
            retry: retry ?? row.retry,
            cause: failure.call
        )
    }

    /// This error, and that so many bytes are needed if there is no room for them.
    package func needing(_ bytes: UInt64?) -> SluiceError {
        guard code == .noSpace, let bytes else { return self }
        var copy = self
        copy.message += "; \(ByteCount(bytes)) (\(bytes) bytes) needed"
        return copy
    }

    /// Nil if it does not tell which of the two is missing.
    static func remedy(_ room: FreeRoom) -> String? {
        switch (room.bytes.bytes == 0, room.inodes == 0) {
        case (false, true): "free inodes there by removing files, then run the command again"
        case (true, false): "free space there, then run the command again"
        default: nil
        }
    }

    private static func room(near object: String) -> FreeRoom? {
        FreeRoom(at: object.hasPrefix("cas:") ? String(object.dropFirst(4)) : object)
    }

    private static func row(_ number: Int32) -> (code: Code, retry: Retry, remedy: String?) {
        switch number {
        case ENOSPC: (.noSpace, .park, "free space or inodes there, then run the command again")
        case EDQUOT: (.noSpace, .park, "the quota is used up: free space, then run the command again")
        case EROFS: (.fileSystem, .park, "make the file system writable, then run the command again")
        case EACCES, EPERM: (.notAuthorised, .park, "check the permissions of the path and of its directories")
        case ENOENT: (.notFound, .never, "check the path; it is taken from the working directory if it is relative")
        case ENAMETOOLONG: (.unsafeName, .never, "choose a shorter name: 255 bytes a component, 4096 in all")
        case ELOOP: (.unsafeName, .never, "remove the symbolic link in the path")
        case EMFILE, ENFILE: (.fileSystem, .backoff, "raise the limit of open files (ulimit -n)")
        case ENOMEM, ESTALE, ETIMEDOUT, EBUSY: (.fileSystem, .backoff, nil)
        case EFBIG: (.fileSystem, .never, "the file system cannot hold a file of this size")
        case ENOTDIR: (.fileSystem, .never, "a component of the path is a file")
        case EIO: (.fileSystem, .backoff, "the disk reports errors: check it (dmesg)")
        default: (.fileSystem, .never, nil)
        }
    }
}
