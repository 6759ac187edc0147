import SluiceBytes
import SluicePipeline

/// What a collection condemned, written before the first rename.
struct TrashRecord: Codable {
    static let limit = ByteCount.mebibytes(256)
    static let suffix = ".json"

    let version: Int
    let run: String
    /// What the run saw.
    let revisions: Int
    let blobs: Int
    let condemned: [String]
}

/// What the last collection saw, so that the next one notices when most of it is gone.
struct LastCollection: Codable {
    static let name = StoreName("last.json")
    static let limit = ByteCount.kibibytes(4)

    let version: Int
    let revisions: Int
}

extension ContentStore {
    /// Nil if none ever ran to its end.
    func lastCollection() throws(SluiceError) -> LastCollection? {
        let entry = StoreEntry(LastCollection.name, in: layout.trash)
        guard let (bytes, _) = try files.read(entry, limit: LastCollection.limit) else { return nil }
        let last = try StoreRecord.decode(LastCollection.self, bytes, entry.path)
        try StoreRecord.check(version: last.version, entry.path)
        guard last.revisions >= 0 else { throw StoreRecord.damaged(entry.path, "\(last.revisions) revisions") }
        return last
    }

    /// When a run condemned something for the last time; nil without its record, which is doubt: it stays.
    func condemnedAt(_ run: StoreDirectory) throws(SluiceError) -> StoreTime? {
        guard let name = StoreName(run.path.baseName), let record = name.appending(TrashRecord.suffix),
            let recorded = try files.status(StoreEntry(record, in: layout.trash)),
            let directory = try files.status(StoreEntry(name, in: layout.trash))
        else { return nil }
        // Each rename into the directory changes it: the last one counts.
        return max(StoreTime(modified: recorded), StoreTime(modified: directory))
    }

    /// The condemned blobs of a run.
    func condemned(in run: StoreDirectory) throws(SluiceError) -> [(key: BlobKey, status: FileStatus)] {
        var found: [(key: BlobKey, status: FileStatus)] = []
        for name in try files.knownNames(in: run) {
            guard let digest = name.digest, let status = try files.status(StoreEntry(name, in: run)) else { continue }
            found.append((BlobKey(digest), status))
        }
        return found
    }
}
