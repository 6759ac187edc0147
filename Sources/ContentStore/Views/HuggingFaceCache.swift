import Glibc
import SluiceBytes
import SluicePipeline

/// A cache of `huggingface_hub`, as a directory: snapshots and branches over blobs that are there already.
package struct HuggingFaceCache: Sendable {
    let root: DirectoryRoot
    let calls: ViewCalls

    /// - Parameter path: what `HF_HUB_CACHE` will name.
    package init(_ path: LocalPath, calls: ViewCalls = ViewCalls()) {
        self.calls = calls
        root = DirectoryRoot(path, syncsLater: true) { (directory) throws(SystemFailure) in
            try calls.syncDirectory(directory)
        }
    }

    static func temporaryName(_ base: [UInt8]) -> [UInt8] {
        TemporaryName.make(for: base, random: .random(in: .min ... .max))
    }

    // MARK: - The branch

    /// Lets a branch name the commit: the last step, so what it names is there.
    func point(_ branch: SafeName, _ place: HuggingFacePlace) throws(SluiceError) {
        let path = place.repository + [HuggingFacePlace.refs] + branch.directories
        let directory = try self.directory(path)
        let temporary = HuggingFaceCache.temporaryName(branch.base)
        let object = directory.path(of: branch.base)
        // A file of another name in `refs` would be a branch to huggingface_hub: it is made one level higher.
        let aside = try self.directory(place.repository)
        do throws(SystemFailure) {
            let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try OwnedDescriptor.open(temporary, in: aside.descriptor, flags, mode: FileMode.finished)
            // No line end: the offline look-up takes every byte for the commit.
            try file.write(Array(place.commit.utf8))
            try calls.sync(file)
            CrashPoint.step()
            try aside.descriptor.rename(temporary, to: branch.base, in: directory.descriptor)
            CrashPoint.step()
        } catch {
            try? aside.descriptor.unlink(temporary)
            throw SluiceError(error, "let the branch name the commit", object: object)
        }
        try sync((0...path.count).map { Array(path.prefix($0)) })
    }

    // MARK: - Directories

    func directory(_ components: [[UInt8]]) throws(SluiceError) -> PlaceDirectory {
        let path = root.path.appending(components.joined(separator: [UInt8(ascii: "/")]))
        return try PlaceDirectory(try root.made(components), path: path)
    }

    /// Makes the names in directories durable.
    func sync(_ directories: some Collection<[[UInt8]]>) throws(SluiceError) {
        for components in directories {
            let directory = try self.directory(components)
            do throws(SystemFailure) {
                try calls.syncDirectory(directory.descriptor)
            } catch {
                throw SluiceError(error, "make names durable", object: directory.path.description)
            }
        }
    }
}

/// Where a revision is in a cache, as components below its root.
struct HuggingFacePlace: Sendable {
    static let blobs = Array("blobs".utf8)
    static let snapshots = Array("snapshots".utf8)
    static let refs = Array("refs".utf8)

    let repository: [[UInt8]]
    let commit: String

    init(_ repository: HuggingFaceRepository, commit: String) {
        self.init(repository: [repository.directory], commit: commit)
    }

    init(repository: [[UInt8]], commit: String) {
        self.repository = repository
        self.commit = commit
    }

    var snapshots: [[UInt8]] { repository + [HuggingFacePlace.snapshots] }
    var snapshot: [[UInt8]] { snapshots + [Array(commit.utf8)] }
}

/// One file of a snapshot.
struct SnapshotEntry: Sendable {
    let path: ObjectKey
    let name: SafeName
    let etag: [UInt8]

    /// From the directory in the snapshot that holds the link.
    var target: [UInt8] {
        let up = [[UInt8]](repeating: Array("..".utf8), count: name.directories.count + 2)
        return Array((up + [HuggingFacePlace.blobs, etag]).joined(separator: [UInt8(ascii: "/")]))
    }
}
