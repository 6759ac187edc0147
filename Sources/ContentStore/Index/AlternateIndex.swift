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
        let file = AlternateFile(directory: directory, store: store.id)
        let names = try store.manifestIdentities()
        var kept = file.read()
        if let kept, kept.manifests == names { return AlternateIndex(rows: kept) }
        // Taken, not copied: they are as much as the rest of the process.
        let rows = try AlternateIndex.rows(of: store, names, kept.take())
        file.write(rows)
        return AlternateIndex(rows: rows)
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
        try store.forEachIdentified { (identity, read) throws(SluiceError) in
            guard !known.contains(identity), let manifest = try read() else { return }
            for file in manifest.files {
                for alternate in file.alternates { rows.insert(alternate, BlobKey(file.digest), file.size) }
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
        try forEachIdentified { (identity, _) throws(SluiceError) in found.append(identity) }
        return found.sorted()
    }

    /// Gives `body` each manifest's identity, and the means to read it.
    fileprivate func forEachIdentified(
        _ body: (BlobKey, () throws(SluiceError) -> Manifest?) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let path = name.kindDirectory.bytes + [0] + name.nameDirectory.bytes + [0] + file.name.bytes
            try body(BlobKey(path.withUnsafeBytes { SHA256.hash($0) })) { () throws(SluiceError) -> Manifest? in
                try manifest(name, file, in: directory)
            }
            return true
        }
    }
}
