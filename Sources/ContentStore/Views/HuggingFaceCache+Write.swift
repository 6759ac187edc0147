import Glibc
import SluiceBytes
import SluicePipeline

extension HuggingFaceCache {
    /// A file of a revision whose bytes are under `blobs` already, proven.
    package struct File: Sendable {
        package let path: ObjectKey
        package let size: UInt64
        /// The name under `blobs`: the Hub's entity tag.
        package let etag: String
        package let sha256: Digest

        package init(path: ObjectKey, size: UInt64, etag: String, sha256: Digest) {
            self.path = path
            self.size = size
            self.etag = etag
            self.sha256 = sha256
        }
    }

    /// Whether the cache has a snapshot of the commit, and the branch (nil: none is asked for) names it.
    package func has(_ repository: HuggingFaceRepository, commit: String, branch: String?) -> Bool {
        let place = HuggingFacePlace(repository, commit: commit)
        guard (try? root.directory(place.snapshot, creating: false)) != nil else { return false }
        guard let branch else { return true }
        guard let name = try? SafeName(ObjectKey(branch)),
            let refs = try? root.directory(
                place.repository + [HuggingFacePlace.refs] + name.directories,
                creating: false
            ),
            let file = try? OwnedDescriptor.open(name.base, in: refs, O_RDONLY | O_NOFOLLOW)
        else { return false }
        var bytes = [UInt8](repeating: 0, count: commit.utf8.count + 1)
        let count = bytes.withUnsafeMutableBytes { try? file.read(into: $0, at: 0) }
        return count.map { bytes.prefix($0).elementsEqual(commit.utf8) } ?? false
    }

    /// Lays out a revision over its blobs, durably when this returns: snapshot, list of files, branch, in this order.
    ///
    /// - Parameters:
    ///   - branch: what shall name the commit; nil: nothing.
    ///   - tree: the bytes of the revision's list of files, by which huggingface_hub tells whether a snapshot is whole.
    ///   - replacing: links of the snapshot that lead elsewhere give way.
    /// - Throws: `.exists` if the snapshot has something else under a file's name, `.notFound` if a blob is not there.
    package func write(
        _ repository: HuggingFaceRepository,
        commit: String,
        branch: String?,
        _ files: [File],
        tree: [UInt8]?,
        replacing: Bool
    ) throws(SluiceError) {
        try write(HuggingFacePlace(repository, commit: commit), files, branch: branch, tree: tree, replacing: replacing)
    }

    func write(
        _ place: HuggingFacePlace,
        _ files: [File],
        branch: String?,
        tree: [UInt8]?,
        replacing: Bool
    ) throws(SluiceError) {
        let blobs = try directory(place.repository + [HuggingFacePlace.blobs])
        var known: [ObjectKey: File] = [:]
        var entries: [SnapshotEntry] = []
        for file in files {
            try check(file, in: blobs)
            known[file.path] = file
            entries.append(
                SnapshotEntry(path: file.path, name: try SafeName(file.path), etag: Array(file.etag.utf8))
            )
        }
        try sync([place.repository + [HuggingFacePlace.blobs], place.repository, []])
        try publish(entries, place, replacing: replacing) { (entry, directory) throws(SluiceError) in
            guard let file = known[entry.path] else { return }
            try settle(file, entry, in: directory, blobs)
        }
        if let tree { try write(tree, place) }
        if let branch { try point(try SafeName(ObjectKey(branch)), place) }
    }

    /// Somebody may have cleared the cache meanwhile.
    private func check(_ file: File, in blobs: PlaceDirectory) throws(SluiceError) {
        let found = (try? FileStatus(Array(file.etag.utf8), in: blobs.descriptor))?.size
        guard found != file.size else { return }
        throw SluiceError(
            .notFound,
            object: blobs.path(of: Array(file.etag.utf8)),
            "the blob of \(file.path) is \(found.map { "\($0) bytes long" } ?? "gone"), and \(file.size) bytes were proven",
            remedy: "something else works on this cache: run the command again once it is done"
        )
    }

    /// Something has the name of a link, or the file system has no links.
    private func settle(
        _ file: File,
        _ entry: SnapshotEntry,
        in directory: PlaceDirectory,
        _ blobs: PlaceDirectory
    ) throws(SluiceError) {
        let name = entry.name.base
        do throws(SystemFailure) {
            guard let there = try? FileStatus(name, in: directory.descriptor) else {
                // Readers take a plain file as well; another name of the blob costs no room.
                return try calls.link((entry.etag, blobs.descriptor), (name, directory.descriptor))
            }
            if there.kind == .regular, there.size == file.size,
                try HuggingFaceCache.digest(name, in: directory.descriptor) == file.sha256
            {
                return
            }
        } catch {
            throw SluiceError(error, "put the file into the snapshot", object: directory.path(of: name))
        }
        let target = (try? directory.descriptor.destination(ofLink: name)).map { Printable.text($0) }
        throw SluiceError(
            .exists,
            object: directory.path(of: name),
            "the snapshot has \(target.map { "a link to \($0)" } ?? "another file") there, and the revision has "
                + "\(file.size) bytes with \(file.sha256)",
            remedy: "remove the snapshot with hf cache rm, or give --overwrite to replace the link"
        )
    }

    static func digest(_ name: [UInt8], in directory: OwnedDescriptor) throws(SystemFailure) -> Digest {
        let file = try OwnedDescriptor.open(name, in: directory, O_RDONLY | O_NOFOLLOW)
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset: UInt64 = 0
        while true {
            let outcome = buffer.withUnsafeMutableBytes { bytes in
                Result { () throws(SystemFailure) in try file.read(into: bytes, at: offset) }
            }
            let count = try outcome.get()
            if count == 0 { return hash.finalized() }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
            offset += UInt64(count)
        }
    }

    /// One that is there stays: a commit's list of files never changes.
    private func write(_ tree: [UInt8], _ place: HuggingFacePlace) throws(SluiceError) {
        let path = place.repository + [Array("trees".utf8)]
        let (directory, aside) = (try self.directory(path), try self.directory(place.repository))
        let name = Array("\(place.commit).json".utf8)
        if (try? FileStatus(name, in: directory.descriptor)) != nil { return }
        let temporary = HuggingFaceCache.temporaryName(name)
        do throws(SystemFailure) {
            let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try OwnedDescriptor.open(temporary, in: aside.descriptor, flags, mode: FileMode.finished)
            try file.write(tree)
            try calls.sync(file)
            CrashPoint.step()
            try aside.descriptor.rename(temporary, to: name, in: directory.descriptor)
            CrashPoint.step()
        } catch {
            try? aside.descriptor.unlink(temporary)
            throw SluiceError(error, "write the list of files", object: directory.path(of: name))
        }
        try sync([path, place.repository])
    }
}
