import Glibc
import SluiceBytes

extension SluiceError {
    /// The error that a failed system call means for the file `object`.
    ///
    /// - Parameters:
    ///   - action: what was being done, as in "could not `action`".
    ///   - retry: overrides what the table says, where the caller knows better (a failed fsync).
    package init(_ failure: SystemFailure, _ action: String, object: String, retry: Retry? = nil) {
        let row = SluiceError.row(failure.number)
        self.init(
            row.code,
            object: object,
            "could not \(action): \(failure.reason)",
            remedy: row.remedy,
            retry: retry ?? row.retry,
            cause: failure.call
        )
    }

    private static func row(_ number: Int32) -> (code: Code, retry: Retry, remedy: String?) {
        switch number {
        case ENOSPC: (.noSpace, .park, "Free space or inodes there, then run the command again")
        case EDQUOT: (.noSpace, .park, "The quota is used up: free space, then run the command again")
        case EROFS: (.fileSystem, .park, "Make the file system writable, then run the command again")
        case EACCES, EPERM: (.notAuthorised, .park, "Check the permissions of the path and of its directories")
        case ENOENT: (.notFound, .never, "Check the path; it is taken from the working directory if it is relative")
        case ENAMETOOLONG: (.unsafeName, .never, "Choose a shorter name: 255 bytes a component, 4096 in all")
        case ELOOP: (.unsafeName, .never, "Remove the symbolic link in the path")
        case EMFILE, ENFILE: (.fileSystem, .backoff, "Raise the limit of open files (ulimit -n)")
        case ENOMEM, ESTALE, ETIMEDOUT, EBUSY: (.fileSystem, .backoff, nil)
        case EFBIG: (.fileSystem, .never, "The file system cannot hold a file of this size")
        case ENOTDIR: (.fileSystem, .never, "A component of the path is a file")
        case EIO: (.fileSystem, .backoff, "The disk reports errors: check it (dmesg)")
        default: (.fileSystem, .never, nil)
        }
    }
}
