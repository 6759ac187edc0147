import Glibc
import SluiceBytes
import SluicePipeline

/// Where local bytes for missing blobs may be.
package enum HealSource: Hashable, Sendable {
    /// Files that were condemned, or set aside and are right after all.
    case store
    /// A directory of the user's, with whatever names.
    case directory(LocalPath)
}

extension StoreWriter {
    /// Publishes missing blobs from local files. Nothing is believed of a candidate but what its bytes hash to, in a
    /// copy that nobody else can write to: a rotten one feeds no good blob.
    ///
    /// - Returns: the digests that the store has now.
    package func heal(_ missing: [MissingBlob], from source: HealSource, pool: BufferPool) throws(SluiceError)
        -> Set<Digest>
    {
        var healed: Set<Digest> = []
        let wanted = Dictionary(missing.map { ($0.digest, $0.size) }) { first, _ in first }
        switch source {
        case .store:
            for (digest, size) in wanted.sorted(by: { BlobKey($0.key) < BlobKey($1.key) }) {
                if try heal(digest, size, pool) { healed.insert(digest) }
            }
        case .directory(let path):
            let sizes = Set(wanted.values.map(\.bytes))
            try forEachFile(below: path, sizes) { (file, path) throws(SluiceError) in
                let staged = try copy(file, path, pool)
                guard wanted[staged.digest] != nil, !healed.contains(staged.digest) else {
                    return try staged.staged.discard()
                }
                try bring(staged)
                healed.insert(staged.digest)
            }
        }
        return healed
    }

    private func heal(_ digest: Digest, _ size: ByteCount, _ pool: BufferPool) throws(SluiceError) -> Bool {
        for candidate in try candidates(digest) {
            guard let (file, status) = try files.open(candidate), status.size == size.bytes else { continue }
            let staged = try copy(file, candidate.path, pool)
            guard staged.digest == digest else {
                try staged.staged.discard()
                continue
            }
            try bring(staged)
            return true
        }
        return false
    }

    /// Nothing is left of one that cannot be published: the next repair copies it anew.
    private func bring(_ blob: ArrivedBlob) throws(SluiceError) {
        try files.orRemove(blob.staged.entry) { () throws(SluiceError) in _ = try publish([blob])[0].get() }
    }

    private func candidates(_ digest: Digest) throws(SluiceError) -> [StoreEntry] {
        var found = try store.trashRuns().map { StoreEntry(.blob(digest), in: $0) }
        for name in try files.knownNames(in: store.layout.quarantine)
        where name.bytes.starts(with: digest.hex.utf8) && name.dropping(QuarantineRecord.suffix) == nil {
            found.append(StoreEntry(name, in: store.layout.quarantine))
        }
        return found
    }

    /// Cloned where the file system can; what is hashed is the copy.
    private func copy(
        _ source: OwnedDescriptor,
        _ origin: String,
        _ pool: BufferPool
    ) throws(SluiceError) -> ArrivedBlob {
        let staged = try stage()
        return try files.orRemove(staged.entry) { () throws(SluiceError) in
            let hash: SHA256
            if (try? files.operations.clone(source, into: staged.file)) != nil {
                hash = try files.digest(of: staged.file, pool: pool, staged.entry.path)
            } else {
                hash = try files.digest(of: source, pool: pool, origin) { (chunk, offset) throws(SluiceError) in
                    try staged.write(chunk, at: offset)
                }
            }
            return ArrivedBlob(staged, digest: hash.finalized(), size: ByteCount(hash.count), origin: origin)
        }
    }

    // MARK: - The user's directory

    /// Every regular file of one of these sizes; links are not followed.
    private func forEachFile(
        below path: LocalPath,
        _ sizes: Set<UInt64>,
        _ body: (OwnedDescriptor, String) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        let root = try files.attempt("open", path.description) { () throws(SystemFailure) in
            try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
        }
        try forEachFile(in: root, path, sizes, body)
    }

    private func forEachFile(
        in directory: OwnedDescriptor,
        _ path: LocalPath,
        _ sizes: Set<UInt64>,
        _ body: (OwnedDescriptor, String) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        let names = try files.attempt("list", path.description) { () throws(SystemFailure) in
            try DirectoryNames.read(directory)
        }
        for name in names.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            let path = path.appending(name)
            guard let opened = try openUsersFile(name, in: directory, path) else { continue }
            switch opened.status.kind {
            case .directory: try forEachFile(in: opened.file, path, sizes, body)
            case .regular where sizes.contains(opened.status.size): try body(opened.file, path.description)
            default: continue
            }
        }
    }

    /// Nil for what is gone, a link, or something that cannot be opened for reading as a file.
    private func openUsersFile(
        _ name: [UInt8],
        in directory: OwnedDescriptor,
        _ path: LocalPath
    ) throws(SluiceError) -> (file: OwnedDescriptor, status: FileStatus)? {
        do throws(SystemFailure) {
            let file = try OwnedDescriptor.open(name, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            return (file, try file.status())
        } catch {
            if [ENOENT, ELOOP, ENXIO].contains(error.number) { return nil }
            throw SluiceError(error, "open", object: path.description)
        }
    }
}
