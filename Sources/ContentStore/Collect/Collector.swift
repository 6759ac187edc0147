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
    private let writer: StoreWriter?
    let gate: Gate

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

    /// One of a store that has no room for a lease, nor for anything else: to empty the trash takes none. It pins nothing,
    /// so it is as safe; only that it is at work is nowhere to be seen.
    package init(
        withoutLease store: ContentStore,
        _ options: CollectionOptions = CollectionOptions(),
        gate: @escaping Gate = { _ in }
    ) {
        self.store = store
        writer = nil
        self.options = options
        self.gate = gate
    }

    /// - Throws: `.leased` if another one is at work; `.unconfirmed`, `.badAnswer`, `.digestMismatch`, `.unsupported`,
    ///   `.fileSystem` if anything is in doubt: nothing was removed then that was not condemned long before.
    package func run() async throws -> CollectionReport {
        try store.checkWritable()
        try claimTurn()
        // One that stays is void with its writer's lease; the collection's own outcome is the one to tell.
        defer { try? writer?.release(Collector.lock) }
        let skew = try (writer?.clock ?? store.clock()).skew()
        if skew.isTooLarge { throw CollectionDoubt.clocks(skew).error(store.path.description) }
        var report = CollectionReport()
        try await gate(.begun)
        try await empty(now: skew.server, &report)
        do {
            try await condemn(now: skew.server, &report)
        } catch let error as SluiceError where error.code == .noSpace && !options.isDryRun {
            // Roots were read without doubt by then. What dead writers left makes room for the next run.
            try? sweep(now: skew.server, &report)
            throw Collector.noRoom(error)
        }
        if !options.isDryRun { try sweep(now: skew.server, &report) }
        return report
    }

    /// Only for economy: two at once are as safe as one, and a store without room for a claim is collected as well.
    private func claimTurn() throws(SluiceError) {
        let outcome: ClaimOutcome?
        do throws(SluiceError) {
            outcome = try writer?.claim(Collector.lock)
        } catch {
            guard error.code == .noSpace else { throw error }
            return
        }
        guard case .held(let holder) = outcome else { return }
        throw SluiceError(
            .leased,
            object: store.path.description,
            "another collection is at work (writer \(holder))",
            remedy: "wait for its end",
            retry: .backoff
        )
    }

    private static func noRoom(_ error: SluiceError) -> SluiceError {
        var error = error
        error.remedy =
            "what is condemned is listed first, in a file and a directory: free that much, by sluice cas rm or outside "
            + "the store, then run the command again"
        return error
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
        report.liveLeases = max(roots.liveWriters.count, again.liveWriters.count)
        report.blobs = plan.blobs
        report.young = plan.young
        report.pinned = plan.pinned
        report.pinningWriters = roots.pinningWriters
        try await gate(.rootsReadAgain)
        if options.isDryRun {
            for candidate in plan.candidates { count(candidate, &report) }
            return
        }
        if !plan.candidates.isEmpty { try await move(plan, again, now: now, &report) }
        do throws(SluiceError) {
            try remember(again.revisions)
        } catch {
            // A full store is collected for room. Beside an older number the next run may at worst have to be forced again.
            guard error.code == .noSpace else { throw error }
        }
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
        for candidate in plan.candidates where after.keeps(candidate.key) {
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
        // Under its own name at once: before its directory is there it stands for nothing, and is swept.
        let entry = trashEntry(name)
        _ = try files.write(try StoreRecord.encode(record), to: entry)
        return try files.orRemove(entry) { () throws(SluiceError) in
            try files.makeDirectory(name, in: store.layout.trash)
        }
    }

    private func remember(_ revisions: Int) throws(SluiceError) {
        if try store.lastCollection()?.revisions == revisions { return }
        let last = LastCollection(version: StoreRecord.version, revisions: revisions)
        // Its first name is that of a run's record without a directory: what stays of it is swept.
        try files.put(
            try StoreRecord.encode(last),
            trashEntry(ContentStore.randomName()),
            as: StoreEntry(LastCollection.name, in: store.layout.trash)
        )
    }

    private func trashEntry(_ run: StoreName) -> StoreEntry {
        StoreEntry(StoreName("\(run)\(TrashRecord.suffix)"), in: store.layout.trash)
    }

    private func count(_ candidate: CollectionPlan.Candidate, _ report: inout CollectionReport) {
        report.condemned.add(candidate.size)
        if candidate.isHeldOutside { report.heldOutside.add(candidate.size) }
    }

    // MARK: - Roots

    /// - Parameter earlier: a reading whose marks are still heeded: a manifest of it, which never changes, is counted and
    ///   not read again.
    func readRoots(now: StoreTime, beside earlier: CollectionRoots? = nil) throws(SluiceError)
        -> CollectionRoots
    {
        var roots = CollectionRoots()
        // Leases first: one that is given back meanwhile has its manifest published by then.
        for lease in try store.leases(at: now) where lease.lease.writer != writer?.id {
            roots.add(lease, options)
        }
        try store.forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let key = BlobKey(file.digest)
            if earlier?.read.contains(key) != true {
                let nonce = try store.read(name, file, in: directory, as: BlobUse.self) { roots.add($0) }
                guard nonce != nil else { return false }
            }
            roots.note(key, of: name)
            return true
        }
        roots.seal()
        return roots
    }

    func check(_ first: CollectionRoots, _ again: CollectionRoots, blobs: Int) throws(SluiceError) {
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
