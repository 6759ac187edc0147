import Glibc
import SluiceBytes
import SluicePipeline

/// Files of this process's own that are transferred from here: removed at the end, whatever it is.
struct ScratchFiles {
    private let directory: LocalPath

    /// - Throws: `.fileSystem` if there is no room for them beside the state file.
    init(_ parent: LocalPath) throws(SluiceError) {
        var template = parent.appending("mirror-XXXXXX".utf8).bytes.map { CChar(bitPattern: $0) } + [0]
        // mkdtemp(3): mode 0700.
        guard mkdtemp(&template) != nil else {
            let failure = SystemFailure("mkdtemp", errno)
            throw SluiceError(failure, "make a directory for records", object: parent.description)
        }
        directory = LocalPath(template.dropLast().map { UInt8(bitPattern: $0) })
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

    func remove() {
        guard let handle = try? OwnedDescriptor.open(directory.bytes, O_RDONLY | O_DIRECTORY),
            let names = try? DirectoryNames.read(handle)
        else { return }
        for name in names { _ = directory.appending(name).bytes.withCPath { unlink($0) } }
        _ = directory.bytes.withCPath { rmdir($0) }
    }
}
