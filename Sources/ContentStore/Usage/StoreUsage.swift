import SluiceBytes
import SluicePipeline

/// What a store's disk space is taken up by.
package struct StoreUsage: Hashable, Sendable {
    package typealias Amount = CollectionReport.Amount

    /// One model: a kind and a name, with all its revisions.
    package struct Model: Hashable, Sendable {
        package let kind: String
        package let name: String
        package var manifests = 0
        /// The files of all its manifests, each as often as it is listed.
        package var logical = Amount()
        /// Blobs that only this model needs: what its removal would free.
        package var exclusive = Amount()
    }

    /// By kind and name.
    package var models: [Model] = []
    /// The files of all manifests.
    package var logical = Amount()
    /// Every blob once.
    package var unique = Amount()
    /// What blobs, trash, quarantine and partials take up on disk.
    package var allocated = ByteCount(0)
    /// Blobs that more than one model needs.
    package var shared = Amount()
    /// Blobs that no manifest needs, and some lease pins.
    package var pinned = Amount()
    /// Blobs that neither does: what a collection would condemn.
    package var unreferenced = Amount()
    package var trash = Amount()
    package var quarantine = Amount()
    /// What writers have on its way, and what dead ones left.
    package var partials = Amount()
}

extension ContentStore {
    /// Adds up a store; a directory that cannot be listed or a manifest that cannot be read is an error.
    ///
    /// For a million blobs it holds their digests in 40 bytes each, and one shard's names at a time.
    package func usage() throws(SluiceError) -> StoreUsage {
        var usage = StoreUsage()
        // Pins before manifests, manifests before blobs: what a writer commits meanwhile is counted as one of them.
        let pins = try pins()
        let owners = try owners(&usage)
        try forEachBlob { key, status in usage.add(key, status, owners, pins) }
        usage.trash = try trashAmount(&usage.allocated)
        for file in try quarantined() {
            usage.quarantine.add(file.size)
            usage.allocated.add(file.allocated)
        }
        usage.partials = try partials(&usage.allocated)
        // Of one that was removed while it was read.
        usage.models.removeAll { $0.manifests == 0 }
        usage.models.sort { ($0.kind, $0.name) < ($1.kind, $1.name) }
        return usage
    }

    /// Every pin there is: whether its lease is still alive is the collection's question, which has a clock for it.
    private func pins() throws(SluiceError) -> BlobTable<Present> {
        var pins = BlobTable<Present>()
        for seen in try leases(at: StoreTime(nanoseconds: 0)) {
            for pin in seen.lease.pins { pins.insert(pin, Present()) }
        }
        pins.seal()
        return pins
    }

    /// Which models need a blob, by their places in `usage.models`.
    private func owners(_ usage: inout StoreUsage) throws(SluiceError) -> BlobTable<UInt32> {
        var owners = BlobTable<UInt32>()
        var places: [[String]: Int] = [:]
        var models: [StoreUsage.Model] = []
        var logical = StoreUsage.Amount()
        var last: RevisionName?
        try forEachManifestFile { (revision, file, directory) throws(SluiceError) in
            let name = [revision.kind, revision.name]
            let place = places[name] ?? models.count
            if place == models.count {
                places[name] = place
                models.append(StoreUsage.Model(kind: revision.kind, name: revision.name))
            }
            var amount = StoreUsage.Amount()
            let nonce = try read(revision, file, in: directory, as: BlobUse.self) { files in
                for file in files {
                    amount.add(file.size)
                    owners.insert(file.blob, UInt32(place))
                }
            }
            // One that was merged meanwhile is in another.
            guard nonce != nil else { return false }
            // One revision may come in several parts, one after the other.
            if revision != last { models[place].manifests += 1 }
            last = revision
            models[place].logical.add(amount)
            logical.add(amount)
            return true
        }
        usage.models = models
        usage.logical = logical
        owners.seal()
        return owners
    }

    private func trashAmount(_ allocated: inout ByteCount) throws(SluiceError) -> StoreUsage.Amount {
        var amount = StoreUsage.Amount()
        for run in try trashRuns() {
            for (_, status) in try condemned(in: run) {
                amount.add(ByteCount(status.size))
                allocated.add(ByteCount(status.allocated))
            }
        }
        return amount
    }

    private func partials(_ allocated: inout ByteCount) throws(SluiceError) -> StoreUsage.Amount {
        var amount = StoreUsage.Amount()
        for writer in try files.knownNames(in: layout.staging) {
            guard try files.status(StoreEntry(writer, in: layout.staging))?.kind == .directory,
                let directory = try files.directory(writer, in: layout.staging)
            else { continue }
            for name in try files.knownNames(in: directory) {
                // A second name of a published blob takes no space.
                guard let status = try files.status(StoreEntry(name, in: directory)), status.kind == .regular,
                    status.links == 1
                else { continue }
                amount.add(ByteCount(status.size))
                allocated.add(ByteCount(status.allocated))
            }
        }
        return amount
    }
}

extension ByteCount {
    fileprivate mutating func add(_ other: ByteCount) { bytes = bytes.addingCapped(other.bytes) }
}

extension StoreUsage {
    fileprivate mutating func add(
        _ key: BlobKey,
        _ status: FileStatus,
        _ owners: BlobTable<UInt32>,
        _ pins: BlobTable<Present>
    ) {
        let size = ByteCount(status.size)
        unique.add(size)
        allocated.add(ByteCount(status.allocated))
        let models = owners.rows(of: key)
        if let only = models.first, models.count == 1 {
            self.models[Int(only.value)].exclusive.add(size)
        } else if models.count > 1 {
            shared.add(size)
        } else if pins.contains(key) {
            pinned.add(size)
        } else {
            unreferenced.add(size)
        }
    }
}
