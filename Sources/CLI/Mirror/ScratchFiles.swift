import Glibc
import SluiceBytes
import SluicePipeline

/// Files of this process's own that are transferred from here: removed at the end, and by the next run if this process
/// does not come so far.
///
/// A directory is locked as long as its process lives: one that can be locked is nobody's.
struct ScratchFiles {
    private static let prefix = Array("mirror-".utf8)

    private let directory: LocalPath
    /// Holds the lock.
    private let handle: OwnedDescriptor

    /// - Throws: `.fileSystem` if there is no room for them beside the state file.
    init(_ parent: LocalPath) throws(SluiceError) {
        ScratchFiles.removeAbandoned(parent)
        do throws(SystemFailure) {
            (directory, handle) = try ScratchFiles.make(parent)
        } catch {
            throw SluiceError(error, "make a directory for records", object: parent.description)
        }
    }

    private static func make(_ parent: LocalPath) throws(SystemFailure) -> (LocalPath, OwnedDescriptor) {
        while true {
            var template = parent.appending(prefix + "XXXXXX".utf8).bytes.map { CChar(bitPattern: $0) } + [0]
            // mkdtemp(3): mode 0700.
            guard mkdtemp(&template) != nil else { throw SystemFailure("mkdtemp", errno) }
            let path = LocalPath(template.dropLast().map { UInt8(bitPattern: $0) })
            // Another process that finds it before it is locked takes it for abandoned.
            do throws(SystemFailure) {
                let handle = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
                try SystemFailure.check("flock") { flock(handle.raw, LOCK_EX) }
                if try handle.status().links > 0 { return (path, handle) }
            } catch {
                guard error.number == ENOENT else { throw error }
            }
        }
    }

    /// A file with these bytes; returns its location.
    func write(_ bytes: [UInt8]) throws(SluiceError) -> String {
        let name = bytes.withUnsafeBytes { SHA256.hash($0) }.hex
        let path = directory.appending(name.utf8)
        do throws(SystemFailure) {
            let file = try OwnedDescriptor.open(path.bytes, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600)
            let outcome = bytes.withUnsafeBytes { buffer in
                Result { () throws(SystemFailure) in try file.write(buffer, at: 0) }
            }
            try outcome.get()
        } catch {
            throw SluiceError(error, "write a record", object: path.description)
        }
        return path.description
    }

    func remove() { ScratchFiles.remove(directory, handle) }

    /// What killed processes have left.
    static func removeAbandoned(_ parent: LocalPath) {
        guard let opened = try? OwnedDescriptor.open(parent.bytes, O_RDONLY | O_DIRECTORY),
            let names = try? DirectoryNames.read(opened)
        else { return }
        for name in names where name.starts(with: prefix) && name.count == prefix.count + 6 {
            let path = parent.appending(name)
            let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
            guard let handle = try? OwnedDescriptor.open(path.bytes, flags), flock(handle.raw, LOCK_EX | LOCK_NB) == 0
            else { continue }
            remove(path, handle)
        }
    }

    private static func remove(_ directory: LocalPath, _ handle: OwnedDescriptor) {
        guard let names = try? DirectoryNames.read(handle) else { return }
        for name in names { _ = directory.appending(name).bytes.withCPath { unlink($0) } }
        _ = directory.bytes.withCPath { rmdir($0) }
    }
}
