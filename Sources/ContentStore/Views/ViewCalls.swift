internal import CLinux
import Glibc
import SluiceBytes

/// The calls whose answers decide how a blob becomes a file outside of the store, and how a user's file comes in. A test
/// puts failing ones in their place.
package struct ViewCalls: Sendable {
    package typealias Name = (name: [UInt8], directory: OwnedDescriptor)

    package var link: @Sendable (_ from: Name, _ to: Name) throws(SystemFailure) -> Void = {
        (from, to) throws(SystemFailure) in
        CrashPoint.step()
        try from.directory.link(from.name, to: to.name, in: to.directory)
        CrashPoint.step()
    }
    /// Another name for an open file.
    package var linkFile: @Sendable (_ file: OwnedDescriptor, _ to: Name) throws(SystemFailure) -> Void = {
        (file, to) throws(SystemFailure) in
        CrashPoint.step()
        try file.link(as: to.name, in: to.directory)
        CrashPoint.step()
    }
    package var symlink: @Sendable (_ target: [UInt8], _ at: Name) throws(SystemFailure) -> Void = {
        (target, at) throws(SystemFailure) in
        CrashPoint.step()
        try at.directory.symlink(target, as: at.name)
        CrashPoint.step()
    }
    package typealias Pair = @Sendable (OwnedDescriptor, OwnedDescriptor) throws(SystemFailure) -> Void

    /// The first file's extents for the second.
    package var clone: Pair = { (source, target) throws(SystemFailure) in
        try SystemFailure.check("clone") { sluice_clone(target.raw, source.raw) }
    }
    package var sync: @Sendable (OwnedDescriptor) throws(SystemFailure) -> Void = { (file) throws(SystemFailure) in
        CrashPoint.step()
        try SystemFailure.check("fsync") { fsync(file.raw) }
        CrashPoint.step()
    }
    package var syncFileSystem: @Sendable (OwnedDescriptor) throws(SystemFailure) -> Void = {
        (file) throws(SystemFailure) in
        try SystemFailure.check("syncfs") { sluice_syncfs(file.raw) }
    }
    /// Whether the bytes of one file were lost in a `syncfs`: kernels before 5.8 do not tell that there.
    package var writeBackStatus: @Sendable (OwnedDescriptor) throws(SystemFailure) -> Void = {
        (file) throws(SystemFailure) in
        try SystemFailure.check("sync_file_range") { sluice_write_back_status(file.raw) }
    }

    package init() {}

    /// Makes the names in a directory durable where the file system can.
    func syncDirectory(_ directory: OwnedDescriptor) throws(SystemFailure) {
        do throws(SystemFailure) {
            try sync(directory)
        } catch {
            // SMB and some FUSE servers cannot sync a directory and say so with one of these; EIO is never excused.
            if ![EINVAL, ENOENT, ENOTSUP].contains(error.number) { throw error }
        }
    }

    /// Whether a directory is on ZFS; where that cannot be told it is taken for one.
    static func isOnZFS(_ directory: OwnedDescriptor) -> Bool { sluice_is_zfs(directory.raw) != 0 }
}
