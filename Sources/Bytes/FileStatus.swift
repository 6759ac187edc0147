import Glibc

/// What `fstat(2)` tells of a file.
package struct FileStatus: Hashable, Sendable {
    /// What kind of thing a name stands for.
    package enum Kind: String, Sendable {
        case regular = "a regular file"
        case directory = "a directory"
        case symlink = "a symbolic link"
        case fifo = "a named pipe"
        case socket = "a socket"
        case device = "a device"
    }

    package let kind: Kind
    /// The twelve bits of chmod(2).
    package let permissions: UInt32
    package let owner: UInt32
    package let device: UInt64
    package let inode: UInt64
    /// Bytes.
    package let size: UInt64
    /// Names that it has.
    package let links: UInt64
    /// Last change of the bytes, nanoseconds since 1970.
    package let modified: Int64
    /// Last change of the bytes or of anything above, nanoseconds since 1970; no program can set it back.
    package let changed: Int64
    /// Bytes that it takes up: holes and compression make that less than its size.
    package let allocated: UInt64

    package init(_ raw: stat) {
        kind =
            switch raw.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            case S_IFLNK: .symlink
            case S_IFIFO: .fifo
            case S_IFSOCK: .socket
            default: .device
            }
        permissions = raw.st_mode & 0o7777
        owner = raw.st_uid
        device = UInt64(raw.st_dev)
        inode = UInt64(raw.st_ino)
        size = UInt64(max(0, raw.st_size))
        links = UInt64(raw.st_nlink)
        modified = FileStatus.nanoseconds(raw.st_mtim)
        changed = FileStatus.nanoseconds(raw.st_ctim)
        // stat(2): "st_blocks: number of 512B blocks allocated", whatever st_blksize is.
        allocated = UInt64(max(0, raw.st_blocks)).multipliedReportingOverflow(by: 512).partialValue
    }

    /// Of a name below `directory`; a symbolic link itself unless `following`.
    package init(
        _ name: [UInt8],
        in directory: OwnedDescriptor? = nil,
        following: Bool = false
    ) throws(SystemFailure) {
        var raw = stat()
        let flags = following ? 0 : AT_SYMLINK_NOFOLLOW
        try SystemFailure.check("stat") {
            name.withCPath { fstatat(directory?.raw ?? AT_FDCWD, $0, &raw, flags) }
        }
        self.init(raw)
    }

    /// Whether both are the same file, whatever its names.
    package func isSameFile(as other: FileStatus) -> Bool { device == other.device && inode == other.inode }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        // Saturates: a file system may hold any number here.
        let (product, overflow) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (time.tv_sec < 0 ? .min : .max) : product &+ Int64(time.tv_nsec)
    }
}

extension [UInt8] {
    /// Gives `body` the bytes as a C string. A path with a NUL would be cut there and name another file, so it must
    /// have been refused before: `SafeName` and `LocalPath` do.
    package func withCPath<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        precondition(!contains(0), "a path with NUL was let through")
        return (self + [0]).withUnsafeBufferPointer { bytes in
            bytes.withMemoryRebound(to: CChar.self) { characters in
                guard let base = characters.baseAddress else { preconditionFailure("an array that ends in NUL") }
                return body(base)
            }
        }
    }
}
