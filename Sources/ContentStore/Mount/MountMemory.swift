import Glibc
import SluiceBytes
import SluicePipeline

/// What `cas doctor` found of a mount, kept on this machine for the store and the file system that it was on. A hint:
/// one that is missing, damaged or of another mount is as good as none.
package struct MountMemory: Sendable {
    private let directory: LocalPath
    private let name: [UInt8]

    /// - Parameter directory: on a local disk, for this store alone.
    package init(_ store: ContentStore, in directory: LocalPath) {
        self.directory = directory
        name = Array("mount-\(store.device).json".utf8)
    }

    /// Keeps a report in place of an earlier one.
    package func keep(_ report: MountProbeReport) throws(SluiceError) {
        HintDirectory.make(directory)
        let bytes = try report.encoded()
        let path = directory.appending(name)
        do throws(SystemFailure) {
            let temporary = directory.appending(name + Array(".\(getpid()).part".utf8)).bytes
            let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW
            let file = try OwnedDescriptor.open(temporary, flags, mode: 0o600)
            let written = bytes.withUnsafeBytes { bytes in
                Result { () throws(SystemFailure) in try file.write(bytes, at: 0) }
            }
            try written.get()
            try SystemFailure.check("rename") {
                temporary.withCPath { from in path.bytes.withCPath { rename(from, $0) } }
            }
        } catch {
            throw SluiceError(error, "keep what was found about the mount", object: path.description)
        }
    }

    /// Nil if nothing of use is kept.
    package func recall() -> MountProbeReport? {
        let path = directory.appending(name)
        guard let file = try? OwnedDescriptor.open(path.bytes, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
            let status = try? file.status(), status.kind == .regular, status.size <= MountProbeReport.limit.bytes
        else { return nil }
        var bytes = [UInt8](repeating: 0, count: Int(status.size))
        guard let count = try? bytes.withUnsafeMutableBytes({ try file.read(into: $0, at: 0) }), count == bytes.count
        else { return nil }
        return try? MountProbeReport.decode(bytes, path.description)
    }
}
