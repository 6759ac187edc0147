import Glibc

/// What a file system has left.
package struct FreeRoom: Hashable, Sendable, CustomStringConvertible {
    package let bytes: ByteCount
    /// Nil where inodes are made as they are needed, and have no number (Btrfs).
    package let inodes: UInt64?

    package init(bytes: ByteCount, inodes: UInt64?) {
        self.bytes = bytes
        self.inodes = inodes
    }

    /// Of the file system that an open file is on; nil if it does not say.
    package init?(of file: OwnedDescriptor) {
        var space = statvfs()
        guard fstatvfs(file.raw, &space) == 0 else { return nil }
        self.init(space)
    }

    /// Of the file system that `path` is on, or would be: its nearest directory that is there. Nil if none is, or if it
    /// is no absolute path.
    package init?(at path: String) {
        guard path.hasPrefix("/") || path.hasPrefix("file:"), var place = LocalPath(path) else { return nil }
        var space = statvfs()
        while place.bytes.withCPath({ statvfs($0, &space) }) != 0 {
            guard place != place.parent else { return nil }
            place = place.parent
        }
        self.init(space)
    }

    private init(_ space: statvfs) {
        let (product, overflow) = UInt64(space.f_bavail).multipliedReportingOverflow(by: UInt64(space.f_frsize))
        bytes = ByteCount(overflow ? .max : product)
        inodes = space.f_files == 0 ? nil : UInt64(space.f_favail)
    }

    package var description: String {
        let space = "\(bytes) (\(bytes.bytes) bytes)"
        return (inodes.map { "\(space) and \($0) inodes" } ?? space) + " free"
    }
}
