import Glibc
import SluiceBytes
import SluicePipeline

/// Collects what no manifest and no lease refers to, while others write.
///
/// This file is the main path of collection: empty the trash of earlier runs as far as it is old enough, then condemn.
/// A condemned blob keeps its inode in `trash/`, where whoever misses it finds it. Any error before the first rename
/// leaves the store as it is; any error after it leaves only what the next run takes up.
package final class Collector: Sendable {
    /// Called at each phase; a test lets writers run there. Nothing of the collector's is held meanwhile.
    package typealias Gate = @Sendable (CollectionPhase) async throws -> Void

    private static let lock = StoreName("gc")

    let store: ContentStore
    let options: CollectionOptions
    private let writer: StoreWriter
    private let gate: Gate

    var files: StoreFiles { store.files }

    /// - Parameter writer: the collector's own lease, which pins nothing.
    package init(
        _ writer: StoreWriter,
        _ options: CollectionOptions = CollectionOptions(),
        gate: @escaping Gate = { _ in }
    ) {
        store = writer.store
        self.writer = writer
        self.options = options
        self.gate = gate
    }

    /// - Throws: `.leased` if another one is at work; `.unconfirmed`, `.badAnswer`, `.unsupported`, `.fileSystem` if
    ///   anything is in doubt: nothing was removed then that was not condemned long before.
    package func run() async throws -> CollectionReport {
        // Only for economy: two at once are as safe as one.
        if case .held(let holder) = try writer.claim(Collector.lock) {
            throw SluiceError(
                .leased,
                object: store.path.description,
                "another collection is at work (writer \(holder))",
                remedy: "Wait for its end",
                retry: .backoff
            )
        }
        // One that stays is void with its writer's lease; the collection's own outcome is the one to tell.
        defer { try? writer.release(Collector.lock) }
        let skew = try writer.clock.skew()
        if skew.isTooLarge { throw CollectionDoubt.clocks(skew).error(store.path.description) }
        var report = CollectionReport()
        try await gate(.begun)
        try await empty(now: skew.server, &report)
        try await condemn(now: skew.server, &report)
        if !options.isDryRun { try sweep(now: skew.server, &report) }
        return report
    }

    // MARK: - The second phase, of earlier runs

    private func empty(now: StoreTime, _ report: inout CollectionReport) async throws {
        let runs = try store.trashRuns()
        guard !runs.isEmpty else { return }
        let roots = try readRoots(now: now)
        try check(roots, roots, blobs: 1)
        var old: [(run: StoreDirectory, key: BlobKey, size: ByteCount)] = []
        let age = options.removeAfter(longestTimeToLive: roots.longestTimeToLive)
        for run in runs {
            let condemnedAt = try store.condemnedAt(run)
            for (key, status) in try store.condemned(in: run) {
                if roots.marked.contains(key) {
                    try resurrect(key, from: run, &report)
                } else if let condemnedAt, options.isExclusive || condemnedAt.age(at: now) > age {
                    old.append((run, key, ByteCount(status.size)))
                } else {
                    report.waiting.add(ByteCount(status.size))
                }
            }
        }
        try await gate(.trashJudged)
        // A manifest that came while the first were read.
        let again = try readRoots(now: now, beside: roots)
        try check(roots, again, blobs: 1)
        for (run, key, _) in old where again.marked.contains(key) { try resurrect(key, from: run, &report) }
        try await gate(.resurrected)
        for (run, key, size) in old where !again.marked.contains(key) {
            if !options.isDryRun { try files.remove(StoreEntry(.blob(key.digest), in: run)) }
            report.removed.add(size)
        }
        if !options.isDryRun { for run in runs { try close(run) } }
        try await gate(.emptied)
    }

    /// Links a condemned blob back and takes it out of the trash; if it is there again already, the latter only.
    private func resurrect(_ key: BlobKey, from run: StoreDirectory, _ report: inout CollectionReport) throws {
        let condemned = StoreEntry(.blob(key.digest), in: run)
        guard let (file, status) = try files.open(condemned) else { return }
        if !options.isDryRun {
            try store.resurrect(condemned, file, key.digest)
            try files.remove(condemned)
        }
        report.resurrected.add(ByteCount(status.size))
    }

    /// Removes the directory and the record of a run of which nothing is left.
    private func close(_ run: StoreDirectory) throws(SluiceError) {
        guard try files.names(in: run).isEmpty, let name = StoreName(run.path.baseName) else { return }
        do throws(SystemFailure) {
            try files.operations.removeDirectory(StoreEntry(name, in: store.layout.trash))
        } catch {
            // Another collection was first, or a file that a client holds open is still named there (`.nfs…`).
            if [ENOTEMPTY, EEXIST].contains(error.number) { return }
            if error.number != ENOENT { throw SluiceError(error, "remove", object: run.path.description) }
        }
        if let record = name.appending(TrashRecord.suffix) {
            try files.remove(StoreEntry(record, in: store.layout.trash))
        }
    }

    // MARK: - The first phase

    private func condemn(now: StoreTime, _ report: inout CollectionReport) async throws {
        let roots = try readRoots(now: now)
        try await gate(.rootsRead)
        var plan = CollectionPlan(roots, now: now, options: options)
        try store.forEachBlob { (key, status) in plan.consider(key, status) }
        try await gate(.blobsListed)
        let again = try readRoots(now: now, beside: roots)
        try check(roots, again, blobs: plan.blobs)
        plan.confirm(again)
        report.revisions = max(roots.revisions, again.revisions)
        report.liveLeases = max(roots.liveLeases, again.liveLeases)
        report.blobs = plan.blobs
        report.young = plan.young
        try await gate(.rootsReadAgain)
        if options.isDryRun {
            for candidate in plan.candidates { count(candidate, &report) }
            return
        }
        if !plan.candidates.isEmpty { try await move(plan, again, now: now, &report) }
        try remember(again.revisions)
    }

    private func move(
        _ plan: CollectionPlan,
        _ roots: CollectionRoots,
        now: StoreTime,
        _ report: inout CollectionReport
    ) async throws {
        let run = try record(plan, roots.revisions)
        try await gate(.recorded)
        var shards: [StoreName: StoreDirectory] = [:]
        for candidate in plan.candidates {
            let name = StoreName.shard(candidate.key.digest)
            guard let shard = try shards[name] ?? files.directory(name, in: store.layout.blobs) else { continue }
            shards[name] = shard
            if try move(candidate, plan, from: shard, to: run) { count(candidate, &report) }
        }
        try files.syncDirectory(run)
        for shard in shards.sorted(by: { $0.key < $1.key }).map(\.value) { try files.syncDirectory(shard) }
        try await gate(.condemned)
        // Who committed since the last look: linked back at once, not only when somebody misses it.
        let after = try readRoots(now: now, beside: roots)
        for candidate in plan.candidates where after.marked.contains(candidate.key) {
            try resurrect(candidate.key, from: run, &report)
        }
        try close(run)
        try await gate(.rootsReadAfter)
    }

    private func move(
        _ candidate: CollectionPlan.Candidate,
        _ plan: CollectionPlan,
        from shard: StoreDirectory,
        to run: StoreDirectory
    ) throws(SluiceError) -> Bool {
        let blob = StoreEntry(.blob(candidate.key.digest), in: shard)
        guard let status = try files.status(blob), plan.stands(candidate, status) else { return false }
        do throws(SystemFailure) {
            try files.operations.rename(blob, to: StoreEntry(blob.name, in: run))
        } catch {
            // Gone: another collection has it, or our own rename's reply was lost; the trash tells at its second phase.
            if error.number != ENOENT { throw SluiceError(error, "condemn", object: blob.path) }
            return try files.status(StoreEntry(blob.name, in: run)) != nil
        }
        return true
    }

    private func record(_ plan: CollectionPlan, _ revisions: Int) throws(SluiceError) -> StoreDirectory {
        let name = ContentStore.randomName()
        let record = TrashRecord(
            version: StoreRecord.version,
            run: name.description,
            revisions: revisions,
            blobs: plan.blobs,
            condemned: plan.candidates.map(\.key.hex)
        )
        try put(record, StoreName("\(name)\(TrashRecord.suffix)"))
        return try files.makeDirectory(name, in: store.layout.trash)
    }

    private func remember(_ revisions: Int) throws(SluiceError) {
        try put(LastCollection(version: StoreRecord.version, revisions: revisions), LastCollection.name)
    }

    private func put(_ record: some Encodable, _ name: StoreName) throws(SluiceError) {
        let temporary = writer.temporary(".record")
        let file = try files.write(try StoreRecord.encode(record), to: temporary)
        try files.replace(temporary, file, to: StoreEntry(name, in: store.layout.trash))
    }

    private func count(_ candidate: CollectionPlan.Candidate, _ report: inout CollectionReport) {
        report.condemned.add(candidate.size)
        if candidate.isHeldOutside { report.heldOutside.add(candidate.size) }
    }

    // MARK: - Roots

    /// - Parameter earlier: a reading whose marks are still heeded: a manifest of it, which never changes, is counted and
    ///   not read again.
    private func readRoots(now: StoreTime, beside earlier: CollectionRoots? = nil) throws(SluiceError)
        -> CollectionRoots
    {
        var roots = CollectionRoots()
        // Leases first: one that is given back meanwhile has its manifest published by then.
        for lease in try store.leases(at: now) where lease.lease.writer != writer.id {
            roots.add(lease, grace: options.condemnAfter)
        }
        try store.forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let key = BlobKey(file.digest)
            if let earlier, earlier.read.contains(key) {
                roots.count(name)
            } else {
                guard let manifest = try store.manifest(name, file, in: directory) else { return false }
                roots.add(manifest)
            }
            roots.note(key)
            return true
        }
        roots.seal()
        return roots
    }

    private func check(_ first: CollectionRoots, _ again: CollectionRoots, blobs: Int) throws(SluiceError) {
        let lost = try store.lostManifests()
        if !options.isForced, !lost.isEmpty {
            throw CollectionDoubt.lostManifests(lost).error(store.path.description)
        }
        let last = try store.lastCollection()
        if let doubt = CollectionPlan.doubt(first, again, last: last?.revisions, blobs: blobs, options: options) {
            throw doubt.error(store.path.description)
        }
    }
}
