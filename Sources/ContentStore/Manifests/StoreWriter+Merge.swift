import SluiceBytes
import SluicePipeline

extension StoreWriter {
    /// Makes one manifest of a revision's many; what was replaced is in none of them any more.
    ///
    /// Safe beside writers and collections: the one is durable before any of the many goes, and a manifest that comes
    /// meanwhile is not touched. Blobs are not looked at, since nothing is referred to that was not before.
    ///
    /// - Returns: how many manifests were taken together; 0 if there was at most one.
    @discardableResult
    package func merge(_ name: RevisionName) throws(SluiceError) -> Int {
        try store.checkWritable()
        guard let directory = try store.manifestDirectory(name) else { return 0 }
        var merged: [ManifestFileName] = []
        var manifests: [Manifest] = []
        for file in try files.names(in: directory) {
            guard let parsed = ManifestFileName(file), parsed.revision == name.revisionName,
                let manifest = try store.manifest(name, parsed, in: directory)
            else { continue }
            merged.append(parsed)
            manifests.append(manifest)
        }
        guard manifests.count > 1, let tree = Tree(name, manifests) else { return 0 }
        let whole = try publish(Manifest(name, tree.files))
        for file in merged where file != whole { try files.remove(StoreEntry(file.name, in: directory)) }
        try files.syncDirectory(directory)
        return merged.count
    }

    /// Takes files out of a revision. One that another host adds meanwhile stays.
    ///
    /// - Parameter isRemoved: told each file of the tree.
    /// - Returns: how many were taken out.
    package func remove(
        from name: RevisionName,
        where isRemoved: (Manifest.File) -> Bool
    ) throws(SluiceError) -> Int {
        try merge(name)
        guard let directory = try store.manifestDirectory(name), let tree = try store.tree(name) else { return 0 }
        let before = try Manifest(name, tree.files)
        let kept = tree.files.filter { !isRemoved($0) }
        guard kept.count < tree.files.count else { return 0 }
        if !kept.isEmpty { try publish(Manifest(name, kept)) }
        try files.remove(StoreEntry(before.fileName().name, in: directory))
        try files.syncDirectory(directory)
        return tree.files.count - kept.count
    }
}

extension ContentStore {
    /// Moves a manifest whose bytes are not those of its name into the quarantine.
    func setAside(manifest: ManifestFileName, _ entry: StoreEntry) throws(SluiceError) {
        guard let (file, _) = try files.open(entry) else { return }
        let found = try files.digest(of: file, pool: BufferPool(retained: 1), entry.path).finalized()
        guard found != manifest.digest else { return }
        try quarantine(entry, file, expected: manifest.digest, found: found.hex, origin: entry.path)
        try files.syncDirectory(entry.directory)
    }
}
