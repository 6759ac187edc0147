import Glibc
import SluiceBytes
import SluicePipeline

/// A blob that was found and opened.
package struct OpenBlob: Sendable {
    package let file: OwnedDescriptor
    package let size: ByteCount
    /// Names that the file has: above one, removing the blob frees nothing.
    package let links: UInt64
    let status: FileStatus
}

extension ContentStore {
    /// Opens a blob, also one that was condemned: it is linked back then. Nil if the store does not have it.
    ///
    /// Its bytes are those that once had this digest; whether a disk has changed them since only hashing can tell.
    package func open(_ digest: Digest) throws(SluiceError) -> OpenBlob? {
        if let shard = try files.directory(.shard(digest), in: layout.blobs),
            let found = try files.open(StoreEntry(.blob(digest), in: shard))
        {
            return opened(found)
        }
        for run in try trashRuns() {
            let condemned = StoreEntry(.blob(digest), in: run)
            guard let found = try files.open(condemned) else { continue }
            // A reader without the right to write has what it needs all the same.
            if unknownRules.isEmpty { try? resurrect(condemned, found.file, digest) }
            return opened(found)
        }
        // It may have been linked back, or published by another host, while the trash was searched. An NFS client goes on
        // believing for half a minute that a name is missing (a shard's too, which that host may just have made), unless
        // it opens the directory and sees that it was changed: nfs(5), "close-to-open".
        guard let blobs = try layout.reopenedBlobs(files),
            let shard = try files.directory(.shard(digest), in: blobs)
        else { return nil }
        return try files.open(StoreEntry(.blob(digest), in: shard)).map(opened)
    }

    private func opened(_ found: (file: OwnedDescriptor, status: FileStatus)) -> OpenBlob {
        OpenBlob(
            file: found.file,
            size: ByteCount(found.status.size),
            links: found.status.links,
            status: found.status
        )
    }

    /// The directories of condemned blobs; one that is emptied meanwhile is left out.
    func trashRuns() throws(SluiceError) -> [StoreDirectory] {
        var runs: [StoreDirectory] = []
        for name in try files.knownNames(in: layout.trash) where name.dropping(".json") == nil {
            if let run = try files.directory(name, in: layout.trash) { runs.append(run) }
        }
        return runs
    }

    /// Links a condemned blob back, durably. Its name in the trash stays, until its run is emptied: between two
    /// directory syncs a power cut must find at least one of the two.
    func resurrect(_ condemned: StoreEntry, _ file: OwnedDescriptor, _ digest: Digest) throws(SluiceError) {
        let shard = try makeShard(of: digest)
        _ = try files.publish(condemned, file, to: StoreEntry(.blob(digest), in: shard), keeping: true)
        try files.syncDirectory(shard)
    }

    /// Whether what has a blob's name can be that blob: a file of its size. What cannot is hashed, and set aside.
    ///
    /// - Returns: false if nothing has the name any more.
    ///
    /// - Parameter hashing: hash it in any case: a proven copy is at hand that could take its place.
    func isSound(
        _ entry: StoreEntry,
        _ digest: Digest,
        size: ByteCount,
        hashing: Bool = false
    ) throws(SluiceError) -> Bool {
        guard let (file, status) = try files.open(entry) else { return false }
        if status.size == size.bytes, !hashing { return true }
        let found = try files.digest(of: file, pool: BufferPool(retained: 1), entry.path).finalized()
        if found == digest, status.size == size.bytes { return true }
        guard found != digest else {
            throw SluiceError(
                .internalFault,
                object: entry.path,
                "has \(status.size) bytes where \(size.bytes) are said to have the same SHA-256"
            )
        }
        try quarantine(entry, file, expected: digest, found: found.hex, origin: entry.path)
        try files.syncDirectory(entry.directory)
        return false
    }

    // MARK: - Shards

    /// The directory of a blob. That its own name is durable is `syncShards`' affair, unless it was made here.
    func makeShard(of digest: Digest) throws(SluiceError) -> StoreDirectory {
        let name = StoreName.shard(digest)
        if let shard = try files.directory(name, in: layout.blobs) { return shard }
        return try files.makeDirectory(name, in: layout.blobs)
    }

    /// Makes the names of blobs durable, each directory once, whoever linked them there: another host may not have
    /// come so far. The directories' own names as well.
    ///
    /// - Returns: what failed, by directory.
    func syncShards(of keys: [BlobKey]) -> [StoreName: SluiceError] {
        var failures: [StoreName: SluiceError] = [:]
        let shards = Set(keys.map { StoreName.shard($0.digest) })
        guard !shards.isEmpty else { return [:] }
        do throws(SluiceError) {
            try files.syncDirectory(layout.blobs)
        } catch {
            for shard in shards { failures[shard] = error }
            return failures
        }
        let names = shards.sorted()
        for start in stride(from: 0, to: names.count, by: ContentStore.syncedAtOnce) {
            var opened: [(name: StoreName, directory: StoreDirectory)] = []
            for name in names[start..<min(start + ContentStore.syncedAtOnce, names.count)] {
                do throws(SluiceError) {
                    if let shard = try files.directory(name, in: layout.blobs) { opened.append((name, shard)) }
                } catch {
                    failures[name] = error
                }
            }
            for (shard, failure) in zip(opened, files.syncDirectories(opened.map(\.directory))) {
                if let failure { failures[shard.name] = failure }
            }
        }
        return failures
    }

    /// Each takes a thread and a descriptor.
    private static let syncedAtOnce = 8
}
