import SluiceBytes
import SluicePipeline

/// Bytes that were set aside.
package struct QuarantinedFile: Hashable, Sendable {
    /// In `quarantine/`.
    package let name: StoreName
    /// The blob that they were taken for; nil for a manifest.
    package let expected: Digest?
    /// Their SHA-256, or why that cannot be told; nil if nothing is known of them but their name.
    package let found: String?
    package let size: ByteCount
    /// When they were set aside, by the server's clock.
    package let time: StoreTime
    /// Where they came from.
    package let origin: String?
    /// Where a manifest was, below the store's root.
    package let manifest: String?
}

extension ContentStore {
    /// What is in the quarantine, by name. Nothing is ever removed there but by the user.
    package func quarantined() throws(SluiceError) -> [QuarantinedFile] {
        var found: [QuarantinedFile] = []
        for name in try files.knownNames(in: layout.quarantine) where name.dropping(QuarantineRecord.suffix) == nil {
            let entry = StoreEntry(name, in: layout.quarantine)
            guard let status = try files.status(entry), status.kind == .regular else { continue }
            let record = quarantineRecord(name)
            found.append(
                QuarantinedFile(
                    name: name,
                    expected: StoreName(name.bytes.prefix(64))?.digest,
                    found: record?.found,
                    size: ByteCount(status.size),
                    // A rename is no change of the bytes.
                    time: StoreTime(newest: status),
                    origin: record?.origin,
                    manifest: record?.manifest
                )
            )
        }
        return found
    }

    /// Nil if it is missing or damaged: the file speaks for itself then.
    private func quarantineRecord(_ name: StoreName) -> QuarantineRecord? {
        guard let recordName = name.appending(QuarantineRecord.suffix) else { return nil }
        let entry = StoreEntry(recordName, in: layout.quarantine)
        guard let (bytes, _) = try? files.read(entry, limit: QuarantineRecord.limit) else { return nil }
        return try? StoreRecord.decode(QuarantineRecord.self, bytes, entry.path)
    }

    /// Manifests that were set aside and did not come back: what they need is unknown, so nothing may be collected.
    func lostManifests() throws(SluiceError) -> [String] {
        var lost: [String] = []
        for name in try files.knownNames(in: layout.quarantine)
        where name.bytes.starts(with: QuarantineRecord.manifest.utf8) && name.dropping(QuarantineRecord.suffix) == nil {
            let manifest = quarantineRecord(name)?.manifest
            guard try !isBack(manifest) else { continue }
            let place = "\(ScrubRun.quarantine)\(name)"
            lost.append(manifest.map { "\(Printable.text($0)) (set aside as \(place))" } ?? place)
        }
        return lost
    }

    /// Whether something has the name again that a manifest had below the root.
    private func isBack(_ path: String?) throws(SluiceError) -> Bool {
        guard let path else { return false }
        let names = path.utf8.split(separator: UInt8(ascii: "/")).compactMap { StoreName($0) }
        guard names.count == 4, names[0] == StoreName("refs"),
            let kind = try files.directory(names[1], in: layout.refs),
            let directory = try files.directory(names[2], in: kind)
        else { return false }
        return try files.status(StoreEntry(names[3], in: directory)) != nil
    }
}
