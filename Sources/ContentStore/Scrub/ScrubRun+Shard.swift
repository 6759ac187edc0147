import SluiceBytes
import SluicePipeline

extension ScrubRun {
    /// Finds what a directory of blobs holds, and leaves those that the record has not behind it to be looked at.
    func list(_ shard: StoreDirectory, _ unit: ScrubUnit) throws(SluiceError) {
        // They are still there if they were: found anew, not a second time.
        unit.record.findings.removeAll { [.stray, .caseTwin].contains($0.what) }
        for name in try files.strayNames(in: shard) { unit.record.add(store.stray(name, in: shard)) }
        for name in try files.knownNames(in: shard) {
            let entry = StoreEntry(name, in: shard)
            guard let digest = name.digest, StoreName.shard(digest) == unit.name else {
                unit.record.add(ScrubFinding(.stray, path: store.relative(entry), "no blob of this directory"))
                continue
            }
            if let next = unit.record.next, name.description < next { continue }
            unit.add(entry, digest)
        }
    }

    /// Takes in what the looks at a blob have shown.
    func take(_ look: BlobLook, _ unit: ScrubUnit) async throws {
        let path = store.relative(look.entry)
        switch try await reader.verdict(look) {
        case .gone: return
        case .foreign(let kind):
            let detail = "\(kind.rawValue) under a blob's name"
            unit.record.add(ScrubFinding(.stray, path: path, detail, digest: look.expected))
            return
        case .unreadable(let error):
            unit.record.add(ScrubFinding(.unreadable, path: path, error.message, digest: look.expected))
        case .sound(let file, let status):
            unit.record.bytes = unit.record.bytes.addingCapped(status.size)
            try checkMode(file, status, path, unit)
        case .corrupt(let file, let status, let found):
            unit.record.bytes = unit.record.bytes.addingCapped(status.size)
            try setAside(look.entry, file, status, found: found, expected: look.expected, unit)
        }
        unit.record.count += 1
        try pulse.passed(blobs: 1)
    }

    /// One finding for a directory: where permissions went, they went for all.
    private func checkMode(
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        _ path: String,
        _ unit: ScrubUnit
    ) throws(SluiceError) {
        guard status.permissions != files.modes.blob else { return }
        let mode = String(status.permissions, radix: 8)
        var finding =
            unit.record.findings.first { $0.what == .wrongMode }
            ?? ScrubFinding(.wrongMode, path: path, "its permissions are \(mode), not 444")
        if finding.path != path { finding.count += 1 }
        if ledger != nil {
            try files.setMode(files.modes.blob, of: file, path)
            let now = try files.attempt("look at", path) { () throws(SystemFailure) in
                try files.operations.status(of: file)
            }
            // A file system without modes, or the file of another user.
            finding.action = now.permissions == files.modes.blob ? .mended : .none
        }
        unit.record.add(finding)
    }

    // MARK: - Setting aside

    private func setAside(
        _ entry: StoreEntry,
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        found: Digest,
        expected: Digest,
        _ unit: ScrubUnit
    ) throws(SluiceError) {
        let name = store.quarantineName(for: expected)
        var detail = "its SHA-256 is \(found.hex)"
        if status.links > 1 { detail += "; the file has \(status.links) names, so what was linked from it is bad too" }
        var finding = ScrubFinding(
            .corrupt,
            path: store.relative(entry),
            detail,
            digest: expected,
            size: status.size
        )
        finding.movedTo = "\(ScrubRun.quarantine)\(name)"
        try setAside(finding, unit) { () throws(SluiceError) -> Bool in
            try store.isolate(entry, file, status, as: name, expected: expected, found: found)
        }
    }
}

extension ContentStore {
    /// Moves a rotten blob into the quarantine, and takes its other names in the trash away: from there the next
    /// reader would link it back.
    ///
    /// - Returns: false if none of the names stands for the file any more.
    func isolate(
        _ entry: StoreEntry,
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        as name: StoreName,
        expected: Digest,
        found: Digest
    ) throws(SluiceError) -> Bool {
        var isMoved = false
        // Twice: a reader may have linked it back from the trash between the two.
        for _ in 0..<2 {
            let condemned = try trashRuns().map { StoreEntry(entry.name, in: $0) }
            for place in [entry] + condemned {
                guard let now = try files.status(place), now.isSameFile(as: status) else { continue }
                if isMoved {
                    // The inode is kept under its name in the quarantine.
                    try files.remove(place)
                } else {
                    isMoved = try move(place, file, status, as: name, expected: expected, found: found)
                }
                try files.syncDirectory(place.directory)
            }
        }
        return isMoved
    }

    /// False if the name does not stand for the file any more: a collection has it, or between the look and the rename
    /// a good one came, which goes back then.
    private func move(
        _ place: StoreEntry,
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        as name: StoreName,
        expected: Digest,
        found: Digest
    ) throws(SluiceError) -> Bool {
        let target = StoreEntry(name, in: layout.quarantine)
        do throws(SluiceError) {
            try quarantine(place, file, as: name, expected: expected, found: found.hex, origin: place.path)
        } catch {
            // Still there: that is an error of the mount.
            if let now = try files.status(place), now.isSameFile(as: status) { throw error }
        }
        let moved = try files.open(target)
        if let moved, moved.status.isSameFile(as: status) { return true }
        if let moved { _ = try files.publish(target, moved.file, to: place) }
        if let record = name.appending(QuarantineRecord.suffix) {
            try files.remove(StoreEntry(record, in: layout.quarantine))
        }
        return false
    }

    /// Sets a manifest aside whose bytes are proven not to be those that were written.
    func quarantine(
        _ manifest: StoreEntry,
        _ file: OwnedDescriptor,
        as name: StoreName,
        damaged error: SluiceError
    ) throws(SluiceError) {
        let hash = try files.digest(of: file, pool: BufferPool(retained: 1), manifest.path)
        let record = QuarantineRecord(
            version: StoreRecord.version,
            expected: nil,
            found: hash.finalized().hex,
            size: hash.count,
            origin: manifest.path,
            manifest: relative(manifest)
        )
        let target = StoreEntry(name, in: layout.quarantine)
        try quarantine(manifest, file, to: target, record)
        files.notice(.quarantined(target.path, reason: error.message))
    }
}
