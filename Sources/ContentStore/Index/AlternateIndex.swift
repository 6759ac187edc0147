import SluiceBytes
import SluicePipeline

/// Which blobs a publisher's other names (`git-sha1`, `etag`, …) have stood for, on this machine's own disk.
///
/// Only a hint: it never says that a blob is there, or what a store holds. Whoever gets an answer opens the blob and
/// compares its size. A file that is damaged, of another store or behind the times is made again from the manifests.
package struct AlternateIndex: Sendable {
    /// A blob that some manifest has under the name that was looked for.
    package struct Match: Hashable, Sendable {
        package let digest: Digest
        package let size: ByteCount
    }

    private let rows: AlternateRows

    /// Opens the index of a store, after bringing it up to date.
    ///
    /// - Parameter directory: on a local disk, for this store alone: `$XDG_STATE_HOME/sluice/<store id>`. It is made if
    ///   it is missing; one that cannot be written to costs only time.
    /// - Throws: if the store's manifests cannot be read.
    package static func open(_ store: ContentStore, in directory: LocalPath) throws(SluiceError) -> AlternateIndex {
        guard case .opened(let index) = try open(store, in: directory, reading: .max) else {
            preconditionFailure("no manifests have more bytes than a number can tell")
        }
        return index
    }

    /// What came of opening it.
    enum Opening {
        case opened(AlternateIndex)
        /// It would be as much work as to read so many bytes of manifests.
        case costs(UInt64)
    }

    /// What is read of the index itself in the time of one byte of a manifest.
    private static let lightness: UInt64 = 8

    /// Opens it if that is no more work than to read `limit` bytes of manifests.
    static func open(
        _ store: ContentStore,
        in directory: LocalPath,
        reading limit: UInt64
    ) throws(SluiceError) -> Opening {
        let file = AlternateFile(directory: directory, store: store.id)
        let own = file.size / lightness
        if own > limit { return .costs(own) }
        let names = try store.manifestIdentities()
        var kept = file.read()
        if let kept, kept.manifests == names { return .opened(AlternateIndex(rows: kept)) }
        if limit != .max {
            let cost = own.addingCapped(try store.manifestBytes(but: Set(kept?.manifests ?? [])))
            if cost > limit { return .costs(cost) }
        }
        // Taken, not copied: they are as much as the rest of the process.
        let rows = try AlternateIndex.rows(of: store, names, kept.take())
        file.write(rows)
        return .opened(AlternateIndex(rows: rows))
    }

    /// The blobs of that name, each once; most often none or one.
    package func lookup(kind: String, value: String) -> [Match] {
        rows.matches(of: AlternateRows.key(kind: kind, value: value)).map { match in
            Match(digest: match.blob.digest, size: ByteCount(match.size))
        }
    }

    /// Reads the manifests that the file does not know. What it knows of removed ones stays, as long as they are the
    /// fewer: their blobs are not found when they are opened.
    private static func rows(
        of store: ContentStore,
        _ names: [BlobKey],
        _ kept: consuming AlternateRows?
    ) throws(SluiceError) -> AlternateRows {
        let isCurrent = Set(names)
        var known = Set(kept?.manifests ?? [])
        if known.count > 2 * known.count(where: isCurrent.contains) { known = [] }
        var rows = known.isEmpty ? AlternateRows() : kept ?? AlternateRows()
        rows.manifests = names
        try store.forEachIdentified { (identity, name, file, directory) throws(SluiceError) in
            guard !known.contains(identity), let manifest = try store.manifest(name, file, in: directory) else {
                return
            }
            for file in manifest.files {
                for alternate in file.alternates where alternate.isLookedFor {
                    rows.insert(alternate, BlobKey(file.digest), file.size)
                }
            }
        }
        rows.seal()
        return rows
    }
}

extension ContentStore {
    /// What stands for each manifest's file, sorted: the hash of its name, for manifests never change.
    fileprivate func manifestIdentities() throws(SluiceError) -> [BlobKey] {
        var found: [BlobKey] = []
        try forEachIdentified { (identity, _, _, _) throws(SluiceError) in found.append(identity) }
        return found.sorted()
    }

    /// How many bytes all other manifests have.
    fileprivate func manifestBytes(but known: Set<BlobKey>) throws(SluiceError) -> UInt64 {
        var bytes: UInt64 = 0
        try forEachIdentified { (identity, _, file, directory) throws(SluiceError) in
            guard !known.contains(identity) else { return }
            bytes = bytes.addingCapped(try files.status(StoreEntry(file.name, in: directory))?.size ?? 0)
        }
        return bytes
    }

    /// Gives `body` each manifest's identity, and what it is read by.
    fileprivate func forEachIdentified(
        _ body: (BlobKey, RevisionName, ManifestFileName, StoreDirectory) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let path = name.kindDirectory.bytes + [0] + name.nameDirectory.bytes + [0] + file.name.bytes
            try body(BlobKey(path.withUnsafeBytes { SHA256.hash($0) }), name, file, directory)
            return true
        }
    }
}
