import SluiceBytes

/// The places in a collection where others may come in between; a test holds it there.
package enum CollectionPhase: String, Hashable, Sendable, CaseIterable {
    case begun
    /// Of the trash of earlier runs: roots are read, nothing was removed.
    case trashJudged
    /// What is needed again was linked back.
    case resurrected
    case emptied
    case rootsRead
    case blobsListed
    case rootsReadAgain
    /// The list of what is condemned is durable.
    case recorded
    case condemned
    case rootsReadAfter
}

/// What a collection did, or would do.
package struct CollectionReport: Hashable, Sendable {
    /// A number of blobs, and their bytes.
    package struct Amount: Hashable, Sendable {
        package var count = 0
        package var bytes = ByteCount(0)

        mutating func add(_ size: ByteCount) {
            count += 1
            bytes = ByteCount(bytes.bytes.addingCapped(size.bytes))
        }

        mutating func add(_ other: Amount) {
            count += other.count
            bytes = ByteCount(bytes.bytes.addingCapped(other.bytes.bytes))
        }
    }

    package var revisions = 0
    package var blobs = 0
    package var liveLeases = 0
    /// Needed by nobody, and left since they are younger than the grace.
    package var young = Amount()
    /// Needed by no manifest, and left for writers that may still refer to them.
    package var pinned = Amount()
    /// These writers, for people.
    package var pinningWriters: [String] = []
    /// Moved to the trash by this run.
    package var condemned = Amount()
    /// Of these, how many have names outside the store, so that nothing is freed.
    package var heldOutside = Amount()
    /// In the trash of earlier runs, and not old enough.
    package var waiting = Amount()
    /// Linked back from the trash.
    package var resurrected = Amount()
    /// Gone for good.
    package var removed = Amount()
    /// Files of writers that are long dead.
    package var swept = Amount()
}
