import Glibc
import SluiceBytes
import SluicePipeline

extension ContentStore {
    /// What no single blob or manifest shows: needs that nothing meets, heads that lead nowhere, names of strangers,
    /// second names that a dead writer left.
    ///
    /// - Parameter known: findings of the same look: what they set aside is not reported as missing once more.
    func looseEnds(except known: [ScrubFinding]) throws(SluiceError) -> [ScrubFinding] {
        let corrupt = Set(known.filter { [.corrupt, .unreadable].contains($0.what) }.compactMap(\.digest))
        let needs = try StoreNeeds(self, isLenient: true)
        let needed = try missingBlobs(needs, isLenient: true)
        var findings = needed.filter { !corrupt.contains($0.digest.hex) }.map { blob in
            blob.found.map { wrongSize(blob.digest, found: $0.bytes, wanted: blob.size.bytes) }
                ?? missing(blob.digest, size: blob.size.bytes)
        }
        findings += try danglingHeads(needs.names)
        findings += try strays()
        findings += try orphanedLinks()
        return findings
    }

    func missing(_ digest: Digest, size: UInt64) -> ScrubFinding {
        ScrubFinding(.missing, path: blobPath(digest), "a manifest needs it", digest: digest, size: size)
    }

    func wrongSize(_ digest: Digest, found: UInt64, wanted: UInt64) -> ScrubFinding {
        let detail = "it has \(found) bytes, and a manifest says \(wanted)"
        return ScrubFinding(.wrongSize, path: blobPath(digest), detail, digest: digest, size: wanted)
    }

    private func blobPath(_ digest: Digest) -> String { "blobs/sha256/\(StoreName.shard(digest))/\(digest.hex)" }

    func stray(_ name: [UInt8], in directory: StoreDirectory) -> ScrubFinding {
        let path = relative(directory.path.appending(name))
        // ASCII: the store's own names hold nothing else.
        let folded = name.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }
        return StoreName(folded)?.digest == nil
            ? ScrubFinding(.stray, path: path, "not a name of the store's")
            : ScrubFinding(.caseTwin, path: path, "differs from a blob's name by its case")
    }

    /// Below the root, for reports that another host reads too.
    func relative(_ path: LocalPath) -> String {
        Printable.text(Array(path.bytes.dropFirst(self.path.bytes.count + 1)))
    }

    func relative(_ entry: StoreEntry) -> String { relative(entry.directory.path.appending(entry.name.bytes)) }

    // MARK: - Heads

    private func danglingHeads(_ names: Set<RevisionName>) throws(SluiceError) -> [ScrubFinding] {
        var findings: [ScrubFinding] = []
        for kind in try files.knownNames(in: layout.heads) {
            guard let kinds = try subdirectory(kind, of: layout.heads) else { continue }
            for name in try files.knownNames(in: kinds) {
                guard let heads = try subdirectory(name, of: kinds) else { continue }
                for branch in try files.knownNames(in: heads) {
                    let entry = StoreEntry(branch, in: heads)
                    guard let detail = try fault(ofHead: entry, kind, name, names) else { continue }
                    findings.append(ScrubFinding(.danglingHead, path: relative(entry), detail))
                }
            }
        }
        return findings
    }

    /// Nil if it leads to a manifest.
    private func fault(
        ofHead entry: StoreEntry,
        _ kind: StoreName,
        _ name: StoreName,
        _ names: Set<RevisionName>
    ) throws(SluiceError) -> String? {
        guard let kindText = kind.unescaped, let nameText = name.unescaped, let branch = entry.name.unescaped else {
            return "its name is no head's"
        }
        do throws(SluiceError) {
            guard let head = try head(branch, kind: kindText, name: nameText), !names.contains(head) else { return nil }
            // It may have come after the manifests were listed.
            return try tree(head) == nil ? "no manifest of the revision \(head.revision)" : nil
        } catch {
            guard [.badAnswer, .digestMismatch].contains(error.code) else { throw error }
            return error.message
        }
    }

    // MARK: - Names

    private func strays() throws(SluiceError) -> [ScrubFinding] {
        var findings: [ScrubFinding] = []
        for name in try files.knownNames(in: layout.blobs) where !name.isShard {
            findings.append(stray(name.bytes, in: layout.blobs))
        }
        for directory in layout.all { try collectStrays(directory, depth: 2, &findings) }
        return findings
    }

    /// Blobs have been gone through with their bytes; below the others there are two levels of directories at most.
    private func collectStrays(
        _ directory: StoreDirectory,
        depth: Int,
        _ findings: inout [ScrubFinding]
    ) throws(SluiceError) {
        for name in try files.strayNames(in: directory) { findings.append(stray(name, in: directory)) }
        guard depth > 0, directory.path != layout.blobs.path else { return }
        for name in try files.knownNames(in: directory) {
            guard let below = try subdirectory(name, of: directory) else { continue }
            try collectStrays(below, depth: depth - 1, &findings)
        }
    }

    /// Nil if it is none.
    private func subdirectory(_ name: StoreName, of parent: StoreDirectory) throws(SluiceError) -> StoreDirectory? {
        guard try files.status(StoreEntry(name, in: parent))?.kind == .directory else { return nil }
        return try files.directory(name, in: parent)
    }

    // MARK: - Staging

    /// A collection takes them away once their writer is forgotten: they cost no space, and are told only.
    private func orphanedLinks() throws(SluiceError) -> [ScrubFinding] {
        var findings: [ScrubFinding] = []
        for writer in try files.knownNames(in: layout.staging) {
            guard let lease = Lease.name(writer), try files.status(StoreEntry(lease, in: layout.leases)) == nil,
                let directory = try subdirectory(writer, of: layout.staging)
            else { continue }
            for name in try files.knownNames(in: directory) {
                let entry = StoreEntry(name, in: directory)
                guard let status = try files.status(entry), status.kind == .regular, status.links > 1 else { continue }
                let detail = "a second name of a file with \(status.links), by a writer that is gone"
                findings.append(ScrubFinding(.orphanedLink, path: relative(entry), detail, size: status.size))
            }
        }
        return findings
    }
}

extension StoreName {
    /// The first two digits of a digest.
    var isShard: Bool {
        bytes.count == 2 && bytes.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
