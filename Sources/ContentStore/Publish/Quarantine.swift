import SluiceBytes
import SluicePipeline

extension ContentStore {
    /// What is known of bytes that were set aside, beside them.
    private struct QuarantineRecord: Encodable {
        let version: Int
        let expected: String
        let found: String
        let size: UInt64
        let origin: String
    }

    /// Sets a file aside whose bytes are not what they should be: bad bytes are evidence, and are never removed.
    ///
    /// - Parameters:
    ///   - file: the open file.
    ///   - expected: the blob that it was taken for.
    ///   - found: what its bytes are, or why that cannot be told.
    func quarantine(
        _ entry: StoreEntry,
        _ file: OwnedDescriptor,
        expected: Digest,
        found: String,
        origin: String
    ) throws(SluiceError) {
        guard let name = StoreName.blob(expected).appending(".\(ContentStore.randomName())"),
            let recordName = name.appending(".json")
        else { return }
        let target = StoreEntry(name, in: layout.quarantine)
        let size = try files.attempt("look at", entry.path) { () throws(SystemFailure) in
            try files.operations.status(of: file).size
        }
        try files.replace(entry, file, to: target)
        let record = QuarantineRecord(
            version: StoreRecord.version,
            expected: expected.hex,
            found: found,
            size: size,
            origin: origin
        )
        _ = try files.write(try StoreRecord.encode(record), to: StoreEntry(recordName, in: layout.quarantine))
        try files.syncDirectory(layout.quarantine)
        files.notice(.quarantined(target.path, reason: "expected \(expected.hex), found \(found)"))
    }
}
