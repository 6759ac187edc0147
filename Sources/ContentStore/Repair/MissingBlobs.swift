import SluiceBytes
import SluicePipeline

/// A blob that some manifest needs and the store does not have, or not in the size that the manifest says.
package struct MissingBlob: Hashable, Sendable {
    package let digest: Digest
    package let size: ByteCount
    /// What the store has under the name, if it has anything: bytes of that digest, so that the manifest is wrong, or
    /// rotten ones, so that a scrub will set them aside.
    package let found: ByteCount?
    package let uses: [ManifestUse]

    package init(digest: Digest, size: ByteCount, found: ByteCount? = nil, uses: [ManifestUse] = []) {
        self.digest = digest
        self.size = size
        self.found = found
        self.uses = uses
    }
}

/// What all manifests need.
struct StoreNeeds {
    /// The sizes of each blob; more than one if manifests disagree.
    private(set) var blobs = BlobTable<UInt64>()
    private(set) var names: Set<RevisionName> = []

    /// - Parameter isLenient: damaged manifests are left out, as findings of their own.
    init(_ store: ContentStore, isLenient: Bool) throws(SluiceError) {
        if isLenient {
            try store.forEachStoredManifest { (stored) throws(SluiceError) in
                if case .sound(let manifest) = stored.content {
                    add(manifest.name, manifest.files.lazy.map { (BlobKey($0.digest), $0.size) })
                }
            }
        } else {
            try store.forEachManifest(as: BlobUse.self) { (name, files) throws(SluiceError) in
                add(name, files.lazy.map { ($0.blob, $0.size) })
            }
        }
        blobs.seal()
    }

    private mutating func add(_ name: RevisionName, _ files: some Sequence<(BlobKey, ByteCount)>) {
        names.insert(name)
        for (blob, size) in files { blobs.insert(blob, size.bytes) }
    }
}

extension ContentStore {
    /// Every blob that some manifest needs and that is not to be had, for whoever brings it.
    ///
    /// - Throws: for a damaged manifest, and for anything that cannot be listed: what is unknown is not missing.
    package func missingBlobs() throws(SluiceError) -> [MissingBlob] {
        try missingBlobs(try StoreNeeds(self, isLenient: false), isLenient: false)
    }

    /// The manifests were listed before the blobs are: what a manifest names was there before it.
    func missingBlobs(_ needs: StoreNeeds, isLenient: Bool) throws(SluiceError) -> [MissingBlob] {
        var suspects: [BlobTable<UInt64>.Row] = []
        for index in 0..<256 {
            let rows = needs.blobs.rows(inShard: index)
            guard !rows.isEmpty else { continue }
            let sizes = try sizes(inShard: StoreName(TextEncoding.hex([UInt8(index)])))
            for row in rows where sizes.rows(of: row.key).first?.value != row.value { suspects.append(row) }
        }
        var missing: [(row: BlobTable<UInt64>.Row, found: ByteCount?)] = []
        for row in suspects {
            // In the trash, linked back, or brought meanwhile.
            let found = try locate(row.key.digest).map { ByteCount($0.status.size) }
            if found?.bytes != row.value { missing.append((row, found)) }
        }
        guard !missing.isEmpty else { return [] }
        // A manifest that was removed meanwhile needs nothing.
        let uses = try uses(of: Set(missing.map(\.row.key)), isLenient: isLenient)
        return missing.compactMap { row, found in
            let uses = (uses[row.key] ?? []).filter { $0.size == row.value }.map(\.use)
            guard !uses.isEmpty else { return nil }
            return MissingBlob(digest: row.key.digest, size: ByteCount(row.value), found: found, uses: uses)
        }
    }

    private func sizes(inShard name: StoreName) throws(SluiceError) -> BlobTable<UInt64> {
        var sizes = BlobTable<UInt64>()
        if let shard = try files.directory(name, in: layout.blobs) {
            try forEachBlob(in: shard, name) { key, status in sizes.insert(key, status.size) }
        }
        sizes.seal()
        return sizes
    }

    /// Where a blob is, without linking it back.
    func locate(_ digest: Digest) throws(SluiceError) -> (entry: StoreEntry, status: FileStatus)? {
        func look(_ directory: StoreDirectory?) throws(SluiceError) -> (entry: StoreEntry, status: FileStatus)? {
            guard let directory else { return nil }
            let entry = StoreEntry(.blob(digest), in: directory)
            guard let status = try files.status(entry), status.kind == .regular else { return nil }
            return (entry, status)
        }
        if let found = try look(try files.directory(.shard(digest), in: layout.blobs)) { return found }
        for run in try trashRuns() {
            if let found = try look(run) { return found }
        }
        // It may have been linked back while the trash was searched.
        return try look(try files.directory(.shard(digest), in: layout.blobs))
    }

    /// Who needs these blobs, each with the size that it says.
    ///
    /// - Parameter isLenient: what is no manifest is left out, as a finding of its own.
    func uses(
        of keys: Set<BlobKey>,
        isLenient: Bool
    ) throws(SluiceError) -> [BlobKey: [(use: ManifestUse, size: UInt64)]] {
        var uses: [BlobKey: [(use: ManifestUse, size: UInt64)]] = [:]
        guard !keys.isEmpty else { return uses }
        func add(_ manifest: Manifest) {
            let files = Dictionary(grouping: manifest.files.filter { keys.contains(BlobKey($0.digest)) }) { file in
                BlobKey(file.digest)
            }
            for (key, files) in files {
                // One manifest that gives one blob two sizes is one that a program other than this wrote.
                for (size, files) in Dictionary(grouping: files, by: \.size.bytes) {
                    let use = ManifestUse(
                        manifest: manifest.name,
                        paths: files.map(\.path).sorted(),
                        sources: Set(files.flatMap(\.sources)).sorted()
                    )
                    uses[key, default: []].append((use, size))
                }
            }
        }
        if isLenient {
            try forEachStoredManifest { (stored) throws(SluiceError) in
                if case .sound(let manifest) = stored.content { add(manifest) }
            }
        } else {
            try forEachManifestFile { (name, file, directory) throws(SluiceError) in
                guard let manifest = try manifest(name, file, in: directory) else { return false }
                add(manifest)
                return true
            }
        }
        return uses
    }

    /// A report whose findings say which manifests they concern.
    func attributed(_ report: ScrubReport) throws(SluiceError) -> ScrubReport {
        var report = report
        let keys = Set(report.findings.compactMap { $0.digest.flatMap { BlobKey(hex: $0) } })
        let uses = try uses(of: keys, isLenient: true)
        for index in report.findings.indices {
            guard let key = report.findings[index].digest.flatMap({ BlobKey(hex: $0) }) else { continue }
            report.findings[index].manifests = (uses[key] ?? []).map(\.use).sorted { $0.manifest < $1.manifest }
        }
        report.findings.sort { ($0.path, $0.what.rawValue) < ($1.path, $1.what.rawValue) }
        return report
    }
}
