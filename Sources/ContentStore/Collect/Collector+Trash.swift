import Glibc
import SluiceBytes
import SluicePipeline

extension Collector {
    /// The second phase, of earlier runs.
    func empty(now: StoreTime, _ report: inout CollectionReport) async throws {
        let runs = try store.trashRuns()
        guard !runs.isEmpty else { return }
        let roots = try readRoots(now: now)
        try check(roots, roots, blobs: 1)
        var old: [(run: StoreDirectory, key: BlobKey, size: ByteCount)] = []
        // Needed, and there is no room for another name of theirs before something is gone; they are found where they are.
        var late: [(run: StoreDirectory, key: BlobKey)] = []
        let age = options.removeAfter(longestTimeToLive: roots.longestTimeToLive)
        for run in runs {
            let condemnedAt = try store.condemnedAt(run)
            for (key, status) in try store.condemned(in: run) {
                if roots.keeps(key) {
                    if try !resurrectIfRoom(key, from: run, &report) { late.append((run, key)) }
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
        for (run, key, _) in old where again.keeps(key) {
            if try !resurrectIfRoom(key, from: run, &report) { late.append((run, key)) }
        }
        try await gate(.resurrected)
        for (run, key, size) in old where !again.keeps(key) {
            if !options.isDryRun { try files.remove(StoreEntry(.blob(key.digest), in: run)) }
            report.removed.add(size)
        }
        for (run, key) in late { try resurrect(key, from: run, &report) }
        if !options.isDryRun { for run in runs { try close(run) } }
        try await gate(.emptied)
    }

    /// Links a condemned blob back and takes it out of the trash; if it is there again already, the latter only.
    func resurrect(_ key: BlobKey, from run: StoreDirectory, _ report: inout CollectionReport) throws {
        let condemned = StoreEntry(.blob(key.digest), in: run)
        guard let (file, status) = try files.open(condemned) else { return }
        if !options.isDryRun {
            try store.resurrect(condemned, file, key.digest)
            try files.remove(condemned)
        }
        report.resurrected.add(ByteCount(status.size))
    }

    /// False if the file system has no room for the name.
    private func resurrectIfRoom(
        _ key: BlobKey,
        from run: StoreDirectory,
        _ report: inout CollectionReport
    ) throws -> Bool {
        do {
            try resurrect(key, from: run, &report)
            return true
        } catch let error as SluiceError where error.code == .noSpace {
            return false
        }
    }

    /// Removes the directory and the record of a run of which nothing is left.
    func close(_ run: StoreDirectory) throws(SluiceError) {
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
}
