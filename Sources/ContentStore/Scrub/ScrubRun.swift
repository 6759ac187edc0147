import SluiceBytes
import SluicePipeline

/// One process's part of a pass: a look at one unit after another. Without a ledger nothing is changed.
final class ScrubRun {
    /// The unit that all manifests are.
    static let manifests = StoreName("manifests")

    let store: ContentStore
    let options: ScrubOptions
    let pulse: ScrubPulse
    let ledger: ScrubLedger?
    let reader: BlobReader
    private let pass: String
    private let started: Duration
    private var saved: Duration

    var files: StoreFiles { store.files }

    init(
        _ store: ContentStore,
        _ options: ScrubOptions,
        _ pulse: ScrubPulse,
        _ ledger: ScrubLedger?,
        pass: String
    ) {
        self.store = store
        self.options = options
        self.pulse = pulse
        self.ledger = ledger
        self.pass = pass
        started = store.time.now()
        saved = started
        reader = BlobReader(store.files, store.time, rate: options.rate, isCached: options.isCached) { bytes in
            try pulse.read(bytes)
        }
    }

    /// Whether the time is up.
    var isOver: Bool { options.maxDuration.map { store.time.now() - started >= $0 } ?? false }

    /// Does what is left of a unit.
    @discardableResult
    func scrub(_ unit: StoreName) async throws -> ScrubRecord {
        var record = try resumed(unit)
        // Another host may have done it between the list of what is due and the claim.
        if record.isDone { return record }
        if unit == ScrubRun.manifests {
            try lookAtManifests(&record)
        } else if let shard = try files.directory(unit, in: store.layout.blobs) {
            guard try await look(at: shard, unit, &record) else {
                try save(&record, unit)
                return record
            }
        }
        record.isDone = true
        record.next = nil
        if let ledger { record.finished = try ledger.writer.clock.now().nanoseconds }
        try save(&record, unit)
        try pulse.passed(shards: unit == ScrubRun.manifests ? 0 : 1)
        return record
    }

    /// Looks at the blobs of one manifest, wherever they are.
    func scrub(_ manifest: Manifest) async throws -> ScrubRecord {
        var record = ScrubRecord(pass: pass)
        for (key, size) in manifest.blobs.sorted(by: { $0.key < $1.key }) {
            if isOver { return record }
            let digest = key.digest
            guard let entry = try store.locate(digest)?.entry else {
                record.add(store.missing(digest, size: size.bytes))
                continue
            }
            let before = record.bytes
            try await look(at: entry, digest, &record, StoreName.shard(digest))
            if record.bytes > before, record.bytes - before != size.bytes {
                record.add(store.wrongSize(digest, found: record.bytes - before, wanted: size.bytes))
            }
        }
        record.isDone = true
        return record
    }

    // MARK: - Records

    private func resumed(_ unit: StoreName) throws -> ScrubRecord {
        guard let ledger, let last = ledger.record(unit) else { return ScrubRecord(pass: pass) }
        guard last.pass == pass else {
            var record = ScrubRecord(pass: pass)
            record.finished = last.finished
            return record
        }
        return try settled(last)
    }

    /// A process that ended between a finding and its move: the quarantine tells whether it came to it. If it did not,
    /// the blob is looked at again, for `next` is not behind it.
    private func settled(_ record: ScrubRecord) throws(SluiceError) -> ScrubRecord {
        var settled = record
        settled.findings = []
        for var finding in record.findings {
            if finding.action == .setsAside {
                guard try isSetAside(finding) else { continue }
                finding.action = .setAside
                if finding.what == .corrupt {
                    settled.count += 1
                    settled.bytes = settled.bytes.addingCapped(finding.size)
                }
            }
            settled.findings.append(finding)
        }
        return settled
    }

    private func isSetAside(_ finding: ScrubFinding) throws(SluiceError) -> Bool {
        guard let path = finding.movedTo, let name = StoreName(path.utf8.dropFirst(ScrubRun.quarantine.utf8.count))
        else { return false }
        return try files.status(StoreEntry(name, in: store.layout.quarantine)) != nil
    }

    static let quarantine = "quarantine/"

    func save(_ record: inout ScrubRecord, _ unit: StoreName) throws(SluiceError) {
        guard let ledger else { return }
        // Two hosts at one unit, because a claim is only a hint: what both found is kept.
        if let other = ledger.record(unit), other.pass == pass { record.merge(try settled(other)) }
        try ledger.write(record, unit)
        saved = store.time.now()
    }

    func saveIfDue(_ record: inout ScrubRecord, _ unit: StoreName) throws(SluiceError) {
        if store.time.now() - saved >= options.checkpoint { try save(&record, unit) }
    }

    // MARK: - Manifests

    private func lookAtManifests(_ record: inout ScrubRecord) throws(SluiceError) {
        record.count = 0
        try store.forEachStoredManifest(uncached: true) { (stored) throws(SluiceError) in
            switch stored.content {
            case .sound: record.count += 1
            case .stray:
                let path = store.relative(stored.entry)
                record.add(ScrubFinding(.stray, path: path, "no manifest of Sluice; it stops collections"))
            case .damaged(let error): try found(stored.entry, error, &record)
            }
            try pulse.passed()
        }
    }

    private func found(
        _ manifest: StoreEntry,
        _ error: SluiceError,
        _ record: inout ScrubRecord
    ) throws(SluiceError) {
        guard let (file, status) = try files.open(manifest) else { return }
        let path = store.relative(manifest)
        let name = StoreName("\(QuarantineRecord.manifest)\(ContentStore.randomName())")
        var finding = ScrubFinding(.damagedManifest, path: path, error.message, size: status.size)
        finding.movedTo = "\(ScrubRun.quarantine)\(name)"
        try setAside(finding, &record, ScrubRun.manifests) { () throws(SluiceError) -> Bool in
            try store.quarantine(manifest, file, as: name, damaged: error)
            try files.syncDirectory(manifest.directory)
            return true
        }
    }

    /// Notes a finding durably, then moves what it is about.
    ///
    /// - Parameter move: false if it had gone meanwhile, or is another file: nothing was found then.
    func setAside(
        _ finding: ScrubFinding,
        _ record: inout ScrubRecord,
        _ unit: StoreName,
        _ move: () throws(SluiceError) -> Bool
    ) throws(SluiceError) {
        var finding = finding
        guard ledger != nil else {
            finding.movedTo = nil
            record.add(finding)
            return
        }
        finding.action = .setsAside
        record.add(finding)
        try save(&record, unit)
        if try move() {
            finding.action = .setAside
            record.add(finding)
        } else {
            record.findings.removeAll { $0.movedTo == finding.movedTo }
        }
    }
}
