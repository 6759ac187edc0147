internal import CLinux
import Glibc
import SluiceBytes

/// What a probe of a directory needs beyond `StoreOperations`: the store itself relies on none of it.
package protocol MountOperations: Sendable {
    func openForWriting(_ name: StoreName, in directory: OwnedDescriptor) throws(SystemFailure) -> OwnedDescriptor
    /// The permission bits, without the kind.
    func mode(of file: OwnedDescriptor) throws(SystemFailure) -> UInt32
    /// Whether anything answers to a name that may be no `StoreName`.
    func exists(_ name: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> Bool
    func symbolicLink(
        to target: [UInt8],
        _ name: StoreName,
        in directory: OwnedDescriptor
    ) throws(SystemFailure)
    /// Reserves space without a change of the length.
    func reserve(_ count: ByteCount, in file: OwnedDescriptor) throws(SystemFailure)
    /// `flock(2)`, exclusive, not waiting.
    func lock(_ file: OwnedDescriptor) throws(SystemFailure)
    /// The kernel's number of the mount that an open directory lies on.
    func mountNumber(of directory: OwnedDescriptor) throws(SystemFailure) -> UInt64
    /// `/proc/self/mountinfo`.
    func mountTable() throws(SystemFailure) -> [UInt8]
}

/// The system's own calls.
package struct SystemMountOperations: MountOperations {
    /// Longer than the table of a machine with ten thousand mounts.
    private static let tableLimit = 4 << 20

    package init() {}

    package func openForWriting(
        _ name: StoreName,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) -> OwnedDescriptor {
        try OwnedDescriptor.open(name.bytes, in: directory, O_RDWR | O_NOFOLLOW | O_NONBLOCK)
    }

    package func mode(of file: OwnedDescriptor) throws(SystemFailure) -> UInt32 {
        var raw = stat()
        try SystemFailure.check("fstat") { fstat(file.raw, &raw) }
        return raw.st_mode & 0o7777
    }

    package func exists(_ name: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> Bool {
        do throws(SystemFailure) {
            _ = try FileStatus(name, in: directory)
            return true
        } catch {
            if error.number == ENOENT { return false }
            throw error
        }
    }

    package func symbolicLink(
        to target: [UInt8],
        _ name: StoreName,
        in directory: OwnedDescriptor
    ) throws(SystemFailure) {
        try SystemFailure.check("symlink") {
            target.withCPath { target in name.bytes.withCPath { symlinkat(target, directory.raw, $0) } }
        }
    }

    package func reserve(_ count: ByteCount, in file: OwnedDescriptor) throws(SystemFailure) {
        guard let count = Int64(exactly: count.bytes) else { throw SystemFailure("fallocate", EFBIG) }
        try SystemFailure.check("fallocate") { sluice_reserve(file.raw, count) }
    }

    package func lock(_ file: OwnedDescriptor) throws(SystemFailure) {
        try SystemFailure.check("flock") { flock(file.raw, LOCK_EX | LOCK_NB) }
    }

    package func mountNumber(of directory: OwnedDescriptor) throws(SystemFailure) -> UInt64 {
        // proc(5): fdinfo has a line "mnt_id: the ID of the mount containing this file".
        let text = try contents("/proc/self/fdinfo/\(directory.raw)", limit: 4096)
        for line in text.split(separator: UInt8(ascii: "\n")) where line.starts(with: "mnt_id:".utf8) {
            let digits = line.dropFirst(7).filter { (0x30...0x39).contains($0) }
            if let number = UInt64(String(decoding: digits, as: UTF8.self)) { return number }
        }
        throw SystemFailure("mnt_id", ENOENT)
    }

    package func mountTable() throws(SystemFailure) -> [UInt8] {
        try contents("/proc/self/mountinfo", limit: SystemMountOperations.tableLimit)
    }

    private func contents(_ path: String, limit: Int) throws(SystemFailure) -> [UInt8] {
        let file = try OwnedDescriptor.open(Array(path.utf8), O_RDONLY)
        var bytes = [UInt8](repeating: 0, count: limit)
        let outcome = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(SystemFailure) in try file.read(into: buffer, at: 0) }
        }
        bytes.removeLast(limit - (try outcome.get()))
        return bytes
    }
}
