internal import GRDB
import Glibc
import SluiceBytes
import SluicePipeline

/// The one place where failures of SQLite and of the file below it become errors of Sluice.
enum StateFault {
    /// Any failure of a database call, told of the state file; our own errors pass unchanged.
    static func from(_ error: any Error, path: String) -> any Error {
        switch error {
        case let failure as DatabaseError: return from(failure, path: path)
        case let damage as DamagedRow: return corrupt(path, damage.what)
        default: return error
        }
    }

    /// SQLite's primary result codes (sqlite.org/rescode.html) that a user can do something about.
    private static func from(_ failure: DatabaseError, path: String) -> SluiceError {
        let cause = "SQLite \(failure.extendedResultCode.rawValue): \(failure.message ?? "no text")"
        switch failure.resultCode {
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return corrupt(path, cause)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return SluiceError(
                .state,
                object: path,
                "another process kept the state file locked for too long",
                remedy: "see which process holds it (fuser), then run the command again",
                retry: .backoff,
                cause: cause
            )
        case .SQLITE_FULL:
            return SluiceError(
                .noSpace,
                object: path,
                "no space for the state file",
                remedy: "free space on its file system, or name another place with --state",
                retry: .park,
                cause: cause
            )
        case .SQLITE_READONLY, .SQLITE_CANTOPEN, .SQLITE_PERM:
            return SluiceError(
                .state,
                object: path,
                "the state file cannot be opened for writing",
                remedy: "check the permissions of the file and of its directory",
                cause: cause
            )
        default:
            return SluiceError(.state, object: path, "the state file could not be used", cause: cause)
        }
    }

    /// The file's content is damaged.
    static func corrupt(_ path: String, _ cause: String) -> SluiceError {
        SluiceError(
            .state,
            object: path,
            "the state file is damaged",
            remedy: "move it aside with `sluice queue move-aside` and run the commands again: bytes at the targets"
                + " are verified, not trusted",
            cause: cause
        )
    }

    /// A system call on the file or its directory failed.
    static func system(_ call: String, _ path: String, _ number: Int32) -> SluiceError {
        SluiceError(
            .state,
            object: path,
            "the state file's place cannot be used: \(call) failed",
            remedy: "check the directory's permissions, or name another place with --state",
            cause: String(cString: strerror(number))
        )
    }

    /// The claim's fence is stale.
    static func superseded(_ transfer: TransferID) -> SluiceError {
        SluiceError(
            .superseded,
            "transfer \(transfer) is not this worker's any more: its lease ended and another took it, or it was removed"
        )
    }
}
