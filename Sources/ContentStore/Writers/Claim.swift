import SluiceBytes
import SluicePipeline

/// Who brings a blob at this moment. Only a hint, to fetch it once: whoever doubts it fetches anyway, into a file of its
/// own.
package enum ClaimOutcome: Hashable, Sendable {
    /// This writer brings it.
    case mine
    /// A live writer does.
    case held(by: StoreName)
}

/// What a claim's file says.
private struct ClaimRecord: Codable {
    let version: Int
    let writer: String
}

extension StoreWriter {
    private static let limit = ByteCount.kibibytes(4)

    /// Claims a blob, unless a live writer has. A claim of a writer whose lease ran out is taken over.
    package func claim(_ digest: Digest) throws(SluiceError) -> ClaimOutcome { try claim(.blob(digest)) }

    /// Gives a claim back, if it is still this writer's.
    package func release(_ digest: Digest) throws(SluiceError) { try release(.blob(digest)) }

    func claim(_ name: StoreName) throws(SluiceError) -> ClaimOutcome {
        let target = StoreEntry(name, in: store.layout.claims)
        let temporary = temporary(".claim")
        let record = ClaimRecord(version: StoreRecord.version, writer: id.description)
        let file = try files.write(try StoreRecord.encode(record), to: temporary)
        return try files.orRemove(temporary) { () throws(SluiceError) in
            if try files.publish(temporary, file, to: target) { return .mine }
            if let holder = try liveHolder(of: target) {
                try files.remove(temporary)
                return holder == id ? .mine : .held(by: holder)
            }
            // Two may do this at once and both believe it: that costs bandwidth, no more.
            try files.replace(temporary, file, to: target)
            return .mine
        }
    }

    func release(_ name: StoreName) throws(SluiceError) {
        let target = StoreEntry(name, in: store.layout.claims)
        if try holder(of: target) == id { try files.remove(target) }
    }

    private func liveHolder(of claim: StoreEntry) throws(SluiceError) -> StoreName? {
        guard let holder = try holder(of: claim) else { return nil }
        let now = try clock.now()
        // What cannot be read is nobody's: a claim stops no one.
        guard let lease = try? store.lease(of: holder, at: now), lease.isAlive, !lease.lease.isOver else { return nil }
        return holder
    }

    private func holder(of claim: StoreEntry) throws(SluiceError) -> StoreName? {
        guard let (bytes, _) = try? files.read(claim, limit: StoreWriter.limit),
            let record = try? StoreRecord.decode(ClaimRecord.self, bytes, claim.path)
        else { return nil }
        return StoreName(record.writer.utf8)
    }
}

/// How far a writer got with a blob: what changes as long as bytes arrive.
package struct BlobProgress: Hashable, Sendable {
    let size: UInt64
    let modified: Int64

    package init(size: UInt64, modified: Int64) {
        self.size = size
        self.modified = modified
    }
}

extension ContentStore {
    /// Nil if nothing of the blob is there yet.
    package func progress(of digest: Digest, by writer: StoreName) throws(SluiceError) -> BlobProgress? {
        guard let directory = try files.directory(writer, in: layout.staging) else { return nil }
        for name in try files.knownNames(in: directory) where name.dropping(".\(digest.hex).part") != nil {
            let entry = StoreEntry(name, in: directory)
            // nfs(5): opening asks the server; attributes alone may be as old as the cache lets them be, a minute.
            var status = (try? files.open(entry))?.status
            if status == nil { status = try files.status(entry) }
            if let status { return BlobProgress(size: status.size, modified: status.modified) }
        }
        return nil
    }
}
