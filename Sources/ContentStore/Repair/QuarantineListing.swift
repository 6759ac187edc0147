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
    package let allocated: ByteCount
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
                    allocated: ByteCount(status.allocated),
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
    package func lostManifests() throws(SluiceError) -> [LostManifest] {
        var lost: [LostManifest] = []
        for manifest in try asideManifests() where try !isBack(manifest) { lost.append(manifest) }
        return lost
    }

    /// The files of a revision's manifests that are back under their names, while what was set aside is still there.
    func restoredManifests(of name: RevisionName) throws(SluiceError) -> Set<StoreName> {
        Set(try asideManifests().filter { $0.revision == name }.compactMap { $0.names?.last })
    }

    private func asideManifests() throws(SluiceError) -> [LostManifest] {
        try files.knownNames(in: layout.quarantine).filter { name in
            name.bytes.starts(with: QuarantineRecord.manifest.utf8) && name.dropping(QuarantineRecord.suffix) == nil
        }.map { name in
            LostManifest(place: "\(ScrubRun.quarantine)\(name)", path: quarantineRecord(name)?.manifest)
        }
    }

    /// Whether something has the name again that a manifest had below the root.
    private func isBack(_ manifest: LostManifest) throws(SluiceError) -> Bool {
        guard let names = manifest.names, let kind = try files.directory(names[1], in: layout.refs),
            let directory = try files.directory(names[2], in: kind)
        else { return false }
        return try files.status(StoreEntry(names[3], in: directory)) != nil
    }

    /// For readers of a revision of which a manifest is lost: what is left of it may be part of it only, or older.
    ///
    /// - Throws: `.digestMismatch` if one is.
    package func checkWhole(_ name: RevisionName) throws(SluiceError) {
        if let lost = try lostManifests().first(where: { $0.revision == name }) { throw lost.error(in: path) }
    }
}

/// A manifest that was set aside as damaged.
package struct LostManifest: Hashable, Sendable, CustomStringConvertible {
    /// What it is now, below the store's root.
    package let place: String
    /// Where it was, below the store's root; nil if that is not known.
    package let path: String?

    /// - Parameter root: the store's.
    package func error(in root: LocalPath) -> SluiceError {
        let aside = root.appending(place.utf8)
        return SluiceError(
            .digestMismatch,
            object: revision.map { "\($0)" } ?? root.description,
            "a manifest was damaged and is set aside as \(place): files may be missing, or older ones be there",
            remedy: "copy the tree in again, or restore \(path.map { Printable.text($0) } ?? "the manifest") from a "
                + "backup; when all of it is there, remove \(aside) and \(aside)\(QuarantineRecord.suffix)"
        )
    }

    package var description: String { path.map { "\(Printable.text($0)) (set aside as \(place))" } ?? place }

    /// `refs`, kind, name, file.
    fileprivate var names: [StoreName]? {
        let names = path?.utf8.split(separator: UInt8(ascii: "/")).compactMap { StoreName($0) }
        return names?.count == 4 && names?.first == StoreName("refs") ? names : nil
    }

    /// The revision that it was one of; nil if that is not known.
    package var revision: RevisionName? {
        names.flatMap { names in
            ManifestFileName(names[3]).flatMap { RevisionName(kind: names[1], name: names[2], revision: $0.revision) }
        }
    }
}
