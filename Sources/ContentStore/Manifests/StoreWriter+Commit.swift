import SluiceBytes
import SluicePipeline

/// How a commit ended.
package enum CommitOutcome: Hashable, Sendable {
    /// The manifest is durable, and each of its blobs was opened after that.
    case committed
    /// These blobs are not there: bring them, and commit again.
    case missing([Digest])
}

/// Blobs that a manifest names and the store does not have.
struct MissingBlobs: Error {
    let blobs: [Digest]
}

extension StoreWriter {
    /// Publishes a manifest once all of its blobs are there, and proves afterwards that they still are.
    ///
    /// pin → open every blob → sync their names → manifest → open every blob again → head. A collection that did not
    /// see the pins has condemned blobs between the two looks at the most: the second one links them back.
    ///
    /// - Parameter branch: a head to point to the manifest, at the end.
    package func commit(_ manifest: Manifest, branch: String? = nil) throws(SluiceError) -> CommitOutcome {
        if case .failure(let missing) = try commitFile(manifest) { return .missing(missing.blobs) }
        if let branch { try point(branch, to: manifest.name) }
        return .committed
    }

    /// The same without a head; the name of the manifest's file.
    func commitFile(_ manifest: Manifest) throws(SluiceError) -> Result<ManifestFileName, MissingBlobs> {
        var attempts = 0
        while true {
            try renew()
            let lapses = lapses
            let missing = try prepare(manifest)
            if !missing.isEmpty { return .failure(MissingBlobs(blobs: missing)) }
            if let lapses, lapses == self.lapses { break }
            // A process that slept here for longer than its lease knows nothing any more.
            attempts += 1
            if attempts == 3 { throw tooSlow(manifest) }
        }
        let file = try publish(manifest)
        let missing = try missing(manifest)
        return missing.isEmpty ? .success(file) : .failure(MissingBlobs(blobs: missing))
    }

    /// Pins the blobs, opens each, and makes their names durable, whoever linked them. Returns what is missing.
    func prepare(_ manifest: Manifest) throws(SluiceError) -> [Digest] {
        try store.checkWritable()
        try pin(manifest.files.map(\.digest))
        let missing = try missing(manifest)
        guard missing.isEmpty else { return missing }
        if let failure = store.syncShards(of: Array(manifest.blobs.keys)).values.first { throw failure }
        return []
    }

    /// What cannot be opened, or is not as long as the manifest says.
    func missing(_ manifest: Manifest) throws(SluiceError) -> [Digest] {
        var missing: [Digest] = []
        for (key, size) in manifest.blobs.sorted(by: { $0.key < $1.key }) {
            let digest = key.digest
            guard let found = try store.open(digest) else {
                missing.append(digest)
                continue
            }
            if found.size == size { continue }
            // A damaged one is set aside, and is missing then.
            let shard = try store.makeShard(of: digest)
            if try !store.isSound(StoreEntry(.blob(digest), in: shard), digest, size: size) { missing.append(digest) }
        }
        return missing
    }

    /// - Returns: the name of its file.
    @discardableResult
    func publish(_ manifest: Manifest) throws(SluiceError) -> ManifestFileName {
        let bytes = try manifest.encoded()
        let name = ManifestFileName(manifest.name.revisionName, bytes.withUnsafeBytes { SHA256.hash($0) })
        let kind = try files.makeDirectory(manifest.name.kindDirectory, in: store.layout.refs)
        let directory = try files.makeDirectory(manifest.name.nameDirectory, in: kind)
        let target = StoreEntry(name.name, in: directory)
        let temporary = temporary(".manifest")
        let file = try files.write(bytes, to: temporary)
        try files.orRemove(temporary) { () throws(SluiceError) in
            // Twice, should a damaged one stand in the way.
            for _ in 0..<2 {
                if try files.publish(temporary, file, to: target) { break }
                guard let (present, _) = try files.read(target, limit: Manifest.limit), present != bytes else {
                    try files.remove(temporary)
                    break
                }
                try store.setAside(manifest: name, target)
            }
        }
        try files.syncDirectory(directory)
        return name
    }

    private func tooSlow(_ manifest: Manifest) -> SluiceError {
        SluiceError(
            .leased,
            object: "\(manifest.name)",
            "looking at its blobs takes longer than the lease of \(timeToLive) lasts",
            remedy: "check the mount's latency, and that the process is not stopped",
            retry: .backoff
        )
    }

    /// Makes a head name a revision.
    package func point(_ branch: String, to name: RevisionName) throws(SluiceError) {
        let kind = try files.makeDirectory(name.kindDirectory, in: store.layout.heads)
        let directory = try files.makeDirectory(name.nameDirectory, in: kind)
        let target = StoreEntry(try StoreName(escaping: branch), in: directory)
        try files.put(Array("\(name.revision)\n".utf8), temporary(".head"), as: target)
    }
}
