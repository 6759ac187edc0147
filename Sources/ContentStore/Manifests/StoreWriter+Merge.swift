import Glibc
import SluiceBytes
import SluicePipeline

/// One manifest in the place of many.
struct MergedManifests: Sendable {
    let whole: Manifest
    let file: ManifestFileName
    let replaced: [ManifestFileName]
}

extension StoreWriter {
    /// Makes one manifest of a revision's many; what was replaced is in none of them any more.
    ///
    /// Safe beside writers and collections: the one is durable before any of the many goes, and a manifest that comes
    /// meanwhile is not touched. Blobs are not looked at, since nothing is referred to that was not before.
    ///
    /// - Parameter known: manifests that were read before, by the names of their files; they never change.
    /// - Returns: nil if there was at most one, or another was first.
    @discardableResult
    func merge(_ name: RevisionName, known: [StoreName: Manifest] = [:]) throws(SluiceError) -> MergedManifests? {
        try store.checkWritable()
        guard let directory = try store.manifestDirectory(name) else { return nil }
        // One that was restored stays under its name: by that it is known to be back.
        let restored = try store.restoredManifests(of: name)
        let found = try readAll(name, in: directory, known: known).filter { !restored.contains($0.file.name) }
        guard found.count > 1, let tree = Tree(name, found.map(\.manifest)) else { return nil }
        let whole = try Manifest(name, tree.files)
        let old = found.map(\.file)
        guard let file = try replace(old, by: whole, in: directory) else { return nil }
        return MergedManifests(whole: whole, file: file, replaced: old)
    }

    /// Takes files out of a revision. One that another host adds meanwhile stays.
    ///
    /// It is looked at again until all are out: another may have replaced the same manifests first.
    ///
    /// - Parameter isRemoved: told each file of the tree.
    /// - Returns: how many were taken out.
    package func remove(
        from name: RevisionName,
        where isRemoved: (Manifest.File) -> Bool
    ) throws(SluiceError) -> Int {
        try store.checkWritable()
        var removed: Set<ObjectKey> = []
        for _ in 0..<StoreWriter.mostRounds {
            guard let directory = try store.manifestDirectory(name) else { return removed.count }
            let found = try readAll(name, in: directory)
            let tree = Tree(name, found.map(\.manifest))
            let out = tree?.files.filter(isRemoved) ?? []
            guard let tree, !out.isEmpty else { return removed.count }
            removed.formUnion(out.map(\.path))
            let kept = tree.files.filter { !isRemoved($0) }
            try replace(found.map(\.file), by: kept.isEmpty ? nil : Manifest(name, kept), in: directory)
            // Of two in step, one goes ahead.
            usleep(UInt32.random(in: 1_000...50_000))
        }
        throw SluiceError(
            .unconfirmed,
            object: "\(name)",
            "the files keep coming back: other hosts change the tree at the same time",
            remedy: "run the command again",
            retry: .backoff
        )
    }

    private static let mostRounds = 20

    /// Publishes one manifest in the place of others, or none. Of several who do that at once one gets the first of them;
    /// whoever does not would bring back what the other left out, and withdraws what he published.
    ///
    /// So does who finds, after he published, that any of them has gone: whoever took that one may not know the first.
    /// If all are there still, whoever takes one from now on looks again afterwards, and sees what was published here.
    ///
    /// - Returns: what was published; nil if somebody else was first, or there was nothing to publish.
    @discardableResult
    private func replace(
        _ old: [ManifestFileName],
        by whole: Manifest?,
        in directory: StoreDirectory
    ) throws(SluiceError) -> ManifestFileName? {
        let entries = old.map(\.name).sorted().map { StoreEntry($0, in: directory) }
        var isFirst = true
        let own = try whole.map { (whole) throws(SluiceError) in try publish(whole) }
        // Opened, not looked at: a client may have a name's attributes from before (close-to-open, nfs(5)).
        if own != nil { for entry in entries where isFirst { isFirst = try files.open(entry) != nil } }
        if isFirst, let first = entries.first { isFirst = try take(first) }
        let late = own.map { [StoreEntry($0.name, in: directory)] } ?? []
        for entry in isFirst ? Array(entries.dropFirst()) : late { try files.remove(entry) }
        try files.syncDirectory(directory)
        return isFirst ? own : nil
    }

    /// Takes a name away; false if it was gone. By a rename to a name of this writer's own, where a lost reply shows.
    private func take(_ entry: StoreEntry) throws(SluiceError) -> Bool {
        let own = temporary(".taken")
        do throws(SystemFailure) {
            try files.operations.rename(entry, to: own)
        } catch {
            if try files.status(own) == nil {
                if error.number == ENOENT { return false }
                throw SluiceError(error, "remove", object: entry.path)
            }
        }
        try files.remove(own)
        return true
    }

    private func readAll(
        _ name: RevisionName,
        in directory: StoreDirectory,
        known: [StoreName: Manifest] = [:]
    ) throws(SluiceError) -> [(file: ManifestFileName, manifest: Manifest)] {
        try store.members(of: directory) { (file) throws(SluiceError) -> (ManifestFileName, Manifest)?? in
            guard let parsed = ManifestFileName(file), parsed.revision == name.revisionName else { return .some(nil) }
            if let manifest = known[file] { return .some((parsed, manifest)) }
            return try store.manifest(name, parsed, in: directory).map { .some((parsed, $0)) }
        }.compactMap { $0 }
    }
}

extension ContentStore {
    /// Moves a manifest whose bytes are not those of its name into the quarantine. Its directory is the caller's to sync:
    /// the good one comes next.
    func setAside(manifest: ManifestFileName, _ entry: StoreEntry) throws(SluiceError) {
        guard let (file, _) = try files.open(entry) else { return }
        let found = try files.digest(of: file, pool: BufferPool(retained: 1), entry.path).finalized()
        guard found != manifest.digest else { return }
        try quarantine(entry, file, expected: manifest.digest, found: found.hex, origin: entry.path)
    }
}
