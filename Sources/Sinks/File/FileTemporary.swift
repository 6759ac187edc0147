import Glibc
import SluiceBytes
import SluicePipeline

/// The file beside its target that bytes go to before they are proven.
///
/// Whoever writes holds its `flock(2)`: a worker that was stopped and wakes again never shares a file with the one
/// that took over, and `cleanup` sees which files are in use. The kernel drops the lock with the last descriptor,
/// so no crash leaves one behind.
struct FileTemporary: Sendable {
    /// Below `directory`.
    let name: [UInt8]
    let directory: OwnedDescriptor
    let file: OwnedDescriptor
    let identity: FileIdentity

    /// What another process needs to find it again: version, device, inode, name.
    var record: [UInt8] { FileTemporary.record(identity, name) }

    static func record(_ identity: FileIdentity, _ name: [UInt8]) -> [UInt8] {
        Array("1 \(identity.device) \(identity.inode) ".utf8) + name
    }

    /// Makes a new one for the target `base`.
    static func create(for base: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> FileTemporary {
        var generator = SystemRandomNumberGenerator()
        while true {
            let name = TemporaryName.make(for: base, random: generator.next())
            CrashPoint.step()
            do {
                // 0600 until the bytes are proven. O_EXCL: "if pathname is a symbolic link, then open() fails".
                let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
                let file = try OwnedDescriptor.open(name, in: directory, flags, mode: 0o600)
                CrashPoint.step()
                try SystemFailure.check("flock") { flock(file.raw, LOCK_EX | LOCK_NB) }
                let identity = FileIdentity(try file.status())
                return FileTemporary(name: name, directory: directory, file: file, identity: identity)
            } catch let error where error.number == EEXIST {
                continue
            }
        }
    }

    /// The one that an earlier session left, if it is still there, still ours alone, not longer than `size`, and
    /// nobody writes to it.
    static func reopen(
        _ record: [UInt8],
        size: UInt64?,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) -> FileTemporary? {
        let fields = record.split(separator: UInt8(ascii: " "), maxSplits: 3)
        guard fields.count == 4, fields[0] == [UInt8(ascii: "1")],
            let device = UInt64(String(decoding: fields[1], as: UTF8.self)),
            let inode = UInt64(String(decoding: fields[2], as: UTF8.self)),
            TemporaryName.isOne(Array(fields[3])), !fields[3].contains(UInt8(ascii: "/")), !fields[3].contains(0)
        else { return nil }
        let name = Array(fields[3])
        let identity = FileIdentity(device: device, inode: inode)
        guard let file = try openOwn(name, identity, in: directory) else { return nil }
        let temporary = FileTemporary(name: name, directory: directory, file: file, identity: identity)
        let status = try file.status()
        // Two names: it was published by link(2) and only the unlink was lost. Writing to it would change the target.
        if status.links > 1 || status.size > size ?? .max {
            try temporary.remove()
            return nil
        }
        return temporary
    }

    private static func openOwn(
        _ name: [UInt8],
        _ identity: FileIdentity,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) -> OwnedDescriptor? {
        do {
            let file = try OwnedDescriptor.open(name, in: directory, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
            let status = try file.status()
            guard status.kind == .regular, FileIdentity(status) == identity else { return nil }
            try SystemFailure.check("flock") { flock(file.raw, LOCK_EX | LOCK_NB) }
            // Whoever held the lock before may have removed the name meanwhile.
            return try FileIdentity(FileStatus(name, in: directory)) == identity ? file : nil
        } catch let error where [ENOENT, EWOULDBLOCK, ELOOP, ENXIO, EISDIR].contains(error.number) {
            return nil
        }
    }

    /// Makes it share the bytes of another file; false where the file systems cannot. Nothing is left of one that does not.
    func clone(_ original: OwnedDescriptor) throws(SystemFailure) -> Bool {
        do throws(SystemFailure) {
            if try file.clone(from: original) { return true }
        } catch {
            try? remove()
            throw error
        }
        try remove()
        return false
    }

    /// Gives the file its last permissions: before the sync, so that they are as durable as the bytes.
    func setFinishedMode() throws(SystemFailure) {
        do {
            try SystemFailure.check("fchmod") { fchmod(file.raw, FileMode.finished) }
        } catch let error where [EPERM, ENOTSUP].contains(error.number) {
            // The file is ours, so this is a file system without permissions (FAT), which has none to get wrong.
        }
    }

    /// Removes the name, if it still is this file's.
    func remove() throws(SystemFailure) {
        do {
            guard try FileIdentity(FileStatus(name, in: directory)) == identity else { return }
            CrashPoint.step()
            defer { CrashPoint.step() }
            try SystemFailure.check("unlink") { name.withCPath { unlinkat(directory.raw, $0, 0) } }
        } catch let error where error.number == ENOENT {
            // It is gone: published, or removed before.
        }
    }

    /// Gives the file the name `base`, in place of whatever has it.
    func replace(_ base: [UInt8]) throws(SystemFailure) { try directory.rename(name, to: base) }

    /// Gives the file the name `base`; fails with EEXIST if anything has it.
    func publishNew(_ base: [UInt8]) throws(SystemFailure) {
        try directory.publish(name, to: base) { () throws(SystemFailure) in try remove() }
    }
}
