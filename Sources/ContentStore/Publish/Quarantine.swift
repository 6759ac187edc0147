import SluiceBytes
import SluicePipeline

/// What is known of bytes that were set aside, beside them.
struct QuarantineRecord: Codable {
    static let suffix = ".json"
    static let limit = ByteCount.kibibytes(64)
    /// What a manifest's name in the quarantine starts with, where a blob's has its digest.
    static let manifest = "manifest."

    let version: Int
    /// The blob that they were taken for; nil for a manifest.
    let expected: String?
    /// Their SHA-256, or why that cannot be told.
    let found: String
    let size: UInt64
    /// Where they came from.
    let origin: String
    /// Where a manifest was, below the store's root.
    let manifest: String?
}

extension ContentStore {
    /// A new name for bytes that were taken for a blob.
    func quarantineName(for digest: Digest) -> StoreName { StoreName("\(digest.hex).\(ContentStore.randomName())") }

    /// Sets a file aside whose bytes are not what they should be: bad bytes are evidence, and are never removed.
    ///
    /// - Parameters:
    ///   - file: the open file.
    ///   - name: what it is called there; a new name if nil.
    ///   - expected: the blob that it was taken for.
    ///   - found: what its bytes are, or why that cannot be told.
    func quarantine(
        _ entry: StoreEntry,
        _ file: OwnedDescriptor,
        as name: StoreName? = nil,
        expected: Digest,
        found: String,
        origin: String
    ) throws(SluiceError) {
        let size = try files.attempt("look at", entry.path) { () throws(SystemFailure) in
            try files.operations.status(of: file).size
        }
        let record = QuarantineRecord(
            version: StoreRecord.version,
            expected: expected.hex,
            found: found,
            size: size,
            origin: origin,
            manifest: nil
        )
        let target = StoreEntry(name ?? quarantineName(for: expected), in: layout.quarantine)
        try quarantine(entry, file, to: target, record)
        files.notice(.quarantined(target.path, reason: "expected \(expected.hex), found \(found)"))
    }

    /// Sets any file of the store aside. What is known of it comes first: without it nobody could tell what it was.
    func quarantine(
        _ entry: StoreEntry,
        _ file: OwnedDescriptor,
        to target: StoreEntry,
        _ record: QuarantineRecord
    ) throws(SluiceError) {
        guard let recordName = target.name.appending(QuarantineRecord.suffix) else { return }
        let about = StoreEntry(recordName, in: layout.quarantine)
        _ = try files.write(try StoreRecord.encode(record), to: about)
        do throws(SluiceError) {
            try files.replace(entry, file, to: target)
        } catch {
            // It stays where it is, and nothing was set aside; if it cannot be found now, it may have been.
            if let status = try? files.operations.status(of: file),
                (try? files.status(entry))??.isSameFile(as: status) == true
            {
                try? files.remove(about)
            }
            throw error
        }
    }
}
