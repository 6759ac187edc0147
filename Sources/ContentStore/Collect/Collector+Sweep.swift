import Glibc
import SluiceBytes
import SluicePipeline

extension Collector {
    /// Removes what writers left who have been silent for longer than any of them may sleep: leases, partials, claims.
    func sweep(now: StoreTime, _ report: inout CollectionReport) throws(SluiceError) {
        var known: Set<StoreName> = []
        var gone: Set<StoreName> = []
        for seen in try store.leases(at: now) {
            guard options.isVoid(seen), let name = Lease.name(seen.lease.writer) else {
                known.insert(seen.lease.writer)
                continue
            }
            // With nobody else at work, nobody goes on from what they left.
            if options.isExclusive { gone.insert(seen.lease.writer) }
            try files.remove(StoreEntry(name, in: store.layout.leases))
        }
        for writer in try files.knownNames(in: store.layout.staging) where !known.contains(writer) {
            try sweep(writer, now: now, isGone: gone.contains(writer), &report)
        }
        for claim in try files.knownNames(in: store.layout.claims) {
            let entry = StoreEntry(claim, in: store.layout.claims)
            if let status = try files.status(entry), isForgotten(status, now) { try files.remove(entry) }
        }
        try sweepRecords(now: now)
    }

    /// Records of runs that have no directory: they ended before it was made, or after it was removed.
    private func sweepRecords(now: StoreTime) throws(SluiceError) {
        for name in try files.knownNames(in: store.layout.trash) where name != LastCollection.name {
            let record = StoreEntry(name, in: store.layout.trash)
            guard let run = name.dropping(TrashRecord.suffix),
                try files.status(StoreEntry(run, in: store.layout.trash)) == nil,
                let status = try files.status(record), isForgotten(status, now)
            else { continue }
            try files.remove(record)
        }
    }

    private func sweep(
        _ writer: StoreName,
        now: StoreTime,
        isGone: Bool,
        _ report: inout CollectionReport
    ) throws(SluiceError) {
        let entry = StoreEntry(writer, in: store.layout.staging)
        // A new writer makes its directory before its lease.
        guard let status = try files.status(entry), isGone || isForgotten(status, now) else { return }
        guard status.kind == .directory else { return }
        guard let directory = try files.directory(writer, in: store.layout.staging) else { return }
        for name in try files.knownNames(in: directory) {
            let file = StoreEntry(name, in: directory)
            guard let status = try files.status(file), isGone || isForgotten(status, now) else { continue }
            try files.remove(file)
            report.swept.add(ByteCount(status.size))
        }
        // What is not empty stays for the next run.
        try? files.operations.removeDirectory(entry)
    }

    private func isForgotten(_ status: FileStatus, _ now: StoreTime) -> Bool {
        StoreTime(newest: status).age(at: now) > max(options.condemnAfter, CollectionOptions.shortestGrace)
    }
}

extension ContentStore {
    /// Gives `body` every blob, shard by shard. What has another name than a blob's is not the store's, and is left.
    package func forEachBlob(_ body: (BlobKey, FileStatus) -> Void) throws(SluiceError) {
        for name in try shards() {
            guard let shard = try files.directory(name, in: layout.blobs) else { continue }
            try forEachBlob(in: shard, name, body)
        }
    }

    /// Gives `body` every blob of a shard, sorted.
    func forEachBlob(
        in shard: StoreDirectory,
        _ shardName: StoreName,
        _ body: (BlobKey, FileStatus) -> Void
    ) throws(SluiceError) {
        for name in try files.knownNames(in: shard) {
            guard name.bytes.starts(with: shardName.bytes), let key = BlobKey(name),
                let status = try files.status(StoreEntry(name, in: shard)), status.kind == .regular
            else { continue }
            body(key, status)
        }
    }
}
