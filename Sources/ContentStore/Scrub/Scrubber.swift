import SluiceBytes
import SluicePipeline

/// Reads the whole store, sets aside what is not what it should be, and says who needs it.
///
/// This file is the main path of a scrub: a pass goes through units, the manifests and each directory of blobs, the
/// one whose last look is longest ago first. What a unit found is durable before anything is moved, so a process that
/// ends anywhere loses no report, and the next one goes on at the same blob. Several hosts share a pass.
package final class Scrubber: Sendable {
    package typealias Progress = @Sendable (ScrubProgress) -> Void

    let store: ContentStore
    private let writer: StoreWriter
    private let options: ScrubOptions
    private let progress: Progress

    /// - Parameter writer: the scrub's own lease, which pins nothing; it is renewed while the scrub runs.
    package init(
        _ writer: StoreWriter,
        _ options: ScrubOptions = ScrubOptions(),
        progress: @escaping Progress = { _ in }
    ) {
        store = writer.store
        self.writer = writer
        self.options = options
        self.progress = progress
    }

    /// - Parameter deliver: is given a complete report before the pass counts as ended: a process that dies in it
    ///   leaves the same report to the next run.
    /// - Throws: whatever leaves a part of the store unknown: a directory that cannot be listed, a manifest that
    ///   cannot be read. What was found before stays found, and the next run goes on.
    @discardableResult
    package func run(_ deliver: (ScrubReport) throws -> Void = { _ in }) async throws -> ScrubReport {
        let ledger = try ScrubLedger(writer)
        let pass = try ledger.pass()
        let units = [ScrubRun.manifests] + (try store.shards())
        let pulse = ScrubPulse(store.time, writer, allShards: units.count - 1, progress)
        let run = ScrubRun(store, options, pulse, ledger, pass: pass.id)
        var report = ScrubReport()
        try await run.scrub(order(units, ledger, pass))
        report.heldElsewhere = run.heldElsewhere
        let records = units.compactMap { unit in ledger.record(unit).map { (unit, $0) } }
        report.take(records.filter { $0.1.pass == pass.id }, of: units.count)
        report.run = pulse.amount
        if report.isComplete {
            // What belongs to no unit takes a listing and no reading.
            report.findings += try store.looseEnds(except: report.findings)
        }
        report = try store.attributed(report)
        if report.isComplete {
            try deliver(report)
            try ledger.end(pass)
        }
        return report
    }

    /// What the pass has not behind it: the manifests, which say what all else is for, then the oldest first.
    private func order(_ units: [StoreName], _ ledger: ScrubLedger, _ pass: ScrubPass) -> [StoreName] {
        var due: [(unit: StoreName, finished: Int64)] = []
        for unit in units {
            let record = ledger.record(unit)
            if let record, record.pass == pass.id, record.isDone { continue }
            due.append((unit, unit == ScrubRun.manifests ? .min : record?.finished ?? .min + 1))
        }
        return due.sorted { ($0.finished, $0.unit) < ($1.finished, $1.unit) }.map(\.unit)
    }
}

extension ContentStore {
    /// The same look without a change, at a store that may be read-only; from its start each time.
    ///
    /// - Parameter only: the blobs of this manifest, and nothing else.
    package func verify(
        _ options: ScrubOptions = ScrubOptions(),
        only manifest: Manifest? = nil,
        progress: @escaping Scrubber.Progress = { _ in }
    ) async throws -> ScrubReport {
        let units = manifest == nil ? [ScrubRun.manifests] + (try shards()) : []
        let pulse = ScrubPulse(time, nil, allShards: max(0, units.count - 1), progress)
        let run = ScrubRun(self, options, pulse, nil, pass: "")
        var report = ScrubReport()
        if let manifest {
            let record = try await run.scrub(manifest)
            report.take([(ScrubRun.manifests, record)], of: 1)
            report.manifests = 1
        } else {
            let records = try await run.scrub(units).map { ($0.name, $0.record) }
            report.take(records, of: units.count)
            if report.isComplete { report.findings += try looseEnds(except: report.findings) }
        }
        report.run = pulse.amount
        return try attributed(report)
    }

    /// The directories of blobs.
    func shards() throws(SluiceError) -> [StoreName] {
        try files.knownNames(in: layout.blobs).filter(\.isShard)
    }
}

extension ScrubReport {
    /// Takes in what the units have recorded.
    mutating func take(_ records: [(unit: StoreName, record: ScrubRecord)], of units: Int) {
        var done = 0
        for (unit, record) in records {
            findings += record.findings
            done += record.isDone ? 1 : 0
            if unit == ScrubRun.manifests {
                manifests = record.count
            } else {
                shards += record.isDone ? 1 : 0
                blobs.count += record.count
                blobs.bytes.bytes = blobs.bytes.bytes.addingCapped(record.bytes)
            }
        }
        allShards = max(0, units - 1)
        isComplete = done == units
    }
}
