import CLinux
import Glibc

extension OwnedDescriptor {
    /// Opens a path that does not lead out of this directory, whatever is planted or swapped there meanwhile: the kernel
    /// resolves all of it (`openat2(2)`, kernel 5.6; ENOSYS before, and EPERM from some seccomp filters).
    ///
    /// - Parameter followingLinks: follow symbolic links that stay below this directory; else any of them is ELOOP. One
    ///   that leads out is EXDEV.
    package func openBeneath(
        _ path: [UInt8],
        _ flags: Int32,
        followingLinks: Bool
    ) throws(SystemFailure) -> OwnedDescriptor {
        let links = followingLinks ? 0 : SLUICE_RESOLVE_NO_SYMLINKS
        let resolve = UInt64(SLUICE_RESOLVE_BENEATH | SLUICE_RESOLVE_NO_MAGICLINKS | links)
        var attempt = 0
        while true {
            do {
                let raw = try SystemFailure.check("openat2") {
                    path.withCPath { sluice_openat2(self.raw, $0, UInt64(flags | O_CLOEXEC), resolve) }
                }
                return OwnedDescriptor(raw)
            } catch let error where error.number == EAGAIN && attempt < 64 {
                // openat2(2): "RESOLVE_BENEATH … the kernel could not ensure that a ".." component didn't escape (due
                // to a race condition or potential attack). Callers may choose to retry".
                attempt += 1
            }
        }
    }

    /// Gives the name `from` in this directory to `to`, in place of whatever has that.
    package func rename(_ from: [UInt8], to: [UInt8]) throws(SystemFailure) {
        try rename(from, to: to, in: self)
    }

    /// The same into another directory.
    package func rename(_ from: [UInt8], to: [UInt8], in target: OwnedDescriptor) throws(SystemFailure) {
        try SystemFailure.check("rename") {
            from.withCPath { from in to.withCPath { renameat(raw, from, target.raw, $0) } }
        }
    }

    /// Gives a file the name `to` as well; fails with EEXIST if anything has it. A symbolic link is not followed.
    package func link(_ from: [UInt8], to: [UInt8], in target: OwnedDescriptor) throws(SystemFailure) {
        try SystemFailure.check("link") {
            from.withCPath { from in to.withCPath { linkat(raw, from, target.raw, $0, 0) } }
        }
    }

    /// Gives this open file another name, whatever has become of the one that it was opened by.
    package func link(as name: [UInt8], in target: OwnedDescriptor) throws(SystemFailure) {
        // linkat(2): "linkat(AT_FDCWD, "/proc/self/fd/<fd>", newdirfd, newname, AT_SYMLINK_FOLLOW)".
        let path = Array("/proc/self/fd/\(raw)".utf8)
        try SystemFailure.check("link") {
            path.withCPath { path in
                name.withCPath { linkat(AT_FDCWD, path, target.raw, $0, AT_SYMLINK_FOLLOW) }
            }
        }
    }

    /// Renames a file in this directory; fails with EEXIST if anything has the name.
    ///
    /// - Parameter removing: takes the old name away where only a link could make the new one.
    package func publish(
        _ from: [UInt8],
        to: [UInt8],
        removing: () throws(SystemFailure) -> Void
    ) throws(SystemFailure) {
        do {
            try SystemFailure.check("rename") {
                from.withCPath { from in to.withCPath { sluice_rename_noreplace(raw, from, raw, $0) } }
            }
        } catch let error where [EINVAL, ENOSYS, ENOTSUP].contains(error.number) {
            // renameat2(2): "EINVAL: the filesystem does not support one of the flags". A link never replaces.
            try link(from, to: to, in: self)
            CrashPoint.step()
            try removing()
        }
    }

    /// Removes a name that is no directory's.
    package func unlink(_ name: [UInt8]) throws(SystemFailure) {
        try SystemFailure.check("unlink") { name.withCPath { unlinkat(raw, $0, 0) } }
    }

    /// Removes an empty directory.
    package func removeDirectory(_ name: [UInt8]) throws(SystemFailure) {
        try SystemFailure.check("rmdir") { name.withCPath { unlinkat(raw, $0, AT_REMOVEDIR) } }
    }

    /// Makes a symbolic link; fails with EEXIST if anything has the name.
    package func symlink(_ target: [UInt8], as name: [UInt8]) throws(SystemFailure) {
        try SystemFailure.check("symlink") {
            target.withCPath { target in name.withCPath { symlinkat(target, raw, $0) } }
        }
    }

    /// What a symbolic link in this directory holds.
    package func destination(ofLink name: [UInt8]) throws(SystemFailure) -> [UInt8] {
        try OwnedDescriptor.destination(name, in: raw)
    }

    /// The path of this descriptor as the kernel knows it, without links in it; nil without a `/proc`.
    package var realPath: LocalPath? {
        let bytes = try? OwnedDescriptor.destination(Array("/proc/self/fd/\(raw)".utf8), in: AT_FDCWD)
        return bytes.flatMap { $0.first == UInt8(ascii: "/") ? LocalPath($0) : nil }
    }

    private static func destination(_ name: [UInt8], in directory: Int32) throws(SystemFailure) -> [UInt8] {
        // PATH_MAX and one more: readlink(2) cuts without a word.
        var text = [CChar](repeating: 0, count: 4097)
        let count = try SystemFailure.check("readlink") {
            name.withCPath { readlinkat(directory, $0, &text, text.count) }
        }
        guard count < text.count else { throw SystemFailure("readlink", ENAMETOOLONG) }
        return text.prefix(count).map { UInt8(bitPattern: $0) }
    }
}
