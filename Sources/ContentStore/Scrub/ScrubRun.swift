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
    let pass: String
    private let started: Duration
    /// Units that another host is at.
    var heldElsewhere = 0

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
        reader = BlobReader(store.files, store.time, rate: options.rate, isCached: options.isCached) { bytes in
            try pulse.read(bytes)
        }
    }

    /// Whether the time is up.
    var isOver: Bool { options.maxDuration.map { store.time.now() - started >= $0 } ?? false }

    // MARK: - Records

    func resumed(_ unit: StoreName) throws(SluiceError) -> ScrubRecord {
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

    func save(_ unit: ScrubUnit) throws(SluiceError) {
        guard let ledger else { return }
        // Two hosts at one unit, because a claim is only a hint: what both found is kept.
        if let other = ledger.record(unit.name), other.pass == pass { unit.record.merge(try settled(other)) }
        try ledger.write(unit.record, unit.name)
        unit.saved = store.time.now()
    }

    func saveIfDue(_ unit: ScrubUnit) throws(SluiceError) {
        if store.time.now() - unit.saved >= options.checkpoint { try save(unit) }
    }

    // MARK: - Manifests

    func lookAtManifests(_ unit: ScrubUnit) throws(SluiceError) {
        unit.record.count = 0
        try store.forEachStoredManifest(uncached: true) { (stored) throws(SluiceError) in
            switch stored.content {
            case .sound: unit.record.count += 1
            case .stray:
                let path = store.relative(stored.entry)
                let detail =
                    "no manifest of Sluice; it can stop collections: move it out of the store, and if it named a tree, copy "
                    + "that in again before anything is collected"
                unit.record.add(ScrubFinding(.stray, path: path, detail))
            case .damaged(let error): try found(stored.entry, error, unit)
            }
            try pulse.passed()
        }
    }

    private func found(
        _ manifest: StoreEntry,
        _ error: SluiceError,
        _ unit: ScrubUnit
    ) throws(SluiceError) {
        guard let (file, status) = try files.open(manifest) else { return }
        let path = store.relative(manifest)
        let name = StoreName("\(QuarantineRecord.manifest)\(ContentStore.randomName())")
        var finding = ScrubFinding(.damagedManifest, path: path, error.message, size: status.size)
        finding.movedTo = "\(ScrubRun.quarantine)\(name)"
        try setAside(finding, unit) { () throws(SluiceError) -> Bool in
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
        _ unit: ScrubUnit,
        _ move: () throws(SluiceError) -> Bool
    ) throws(SluiceError) {
        var finding = finding
        guard ledger != nil else {
            finding.movedTo = nil
            unit.record.add(finding)
            return
        }
        finding.action = .setsAside
        unit.record.add(finding)
        try save(unit)
        if try move() {
            finding.action = .setAside
            unit.record.add(finding)
        } else {
            unit.record.findings.removeAll { $0.movedTo == finding.movedTo }
        }
    }
}
