import SluiceBytes
import SluicePipeline

/// One manifest's need for a blob.
package struct ManifestUse: Hashable, Sendable {
    package let manifest: RevisionName
    /// The files that are this blob.
    package let paths: [ObjectKey]
    /// Where they can be fetched again; without credentials.
    package let sources: [String]
}

/// Something that is not as it should be.
package struct ScrubFinding: Hashable, Sendable, Codable {
    package enum What: String, Hashable, Sendable, Codable, CaseIterable {
        /// The bytes have another SHA-256 than the name, read twice.
        case corrupt
        /// The bytes could not be read, twice; what they are is unknown.
        case unreadable
        /// A manifest whose bytes are not those that were written.
        case damagedManifest
        /// A manifest needs it, and it is not there.
        case missing
        /// A manifest gives it another size than it has.
        case wrongSize
        /// It could be written to; the first of `count` in a directory.
        case wrongMode
        /// A name that the store cannot have made.
        case stray
        /// A name that a file system without case takes for a blob's.
        case caseTwin
        /// A head whose revision has no manifest, or that cannot be read.
        case danglingHead
        /// A second name of a published blob that a dead writer left under `tmp/`.
        case orphanedLink
    }

    package enum Action: String, Hashable, Sendable, Codable {
        case none
        /// About to be set aside, should the process have ended there.
        case setsAside
        /// Moved to `movedTo`.
        case setAside
        /// Permissions were put right.
        case mended
    }

    package let what: What
    /// Below the store's root.
    package let path: String
    /// What was found, for people.
    package let detail: String
    package var digest: String?
    package var size: UInt64 = 0
    package var count = 1
    package var action = Action.none
    /// Below the store's root.
    package var movedTo: String?
    /// Who needs the blob.
    package var manifests: [ManifestUse] = []

    enum CodingKeys: String, CodingKey {
        case what, path, detail, digest, size, count, action
        case movedTo = "moved_to"
    }

    init(_ what: What, path: String, _ detail: String, digest: Digest? = nil, size: UInt64 = 0) {
        self.what = what
        self.path = path
        self.detail = detail
        self.digest = digest?.hex
        self.size = size
    }
}

/// What a look at the whole store found, over all the runs and hosts that made it up.
package struct ScrubReport: Hashable, Sendable {
    /// Sorted by path.
    package var findings: [ScrubFinding] = []
    /// Hashed by all runs of this pass.
    package var blobs = CollectionReport.Amount()
    /// Of these, by this run.
    package var run = CollectionReport.Amount()
    package var manifests = 0
    /// Directories of blobs that the pass has behind it, and all of them.
    package var shards = 0
    package var allShards = 0
    /// Directories that another host is at.
    package var heldElsewhere = 0
    /// Whether everything was looked at; else another run goes on from here.
    package var isComplete = false

    /// Nothing is wrong, as far as was looked.
    package var isSound: Bool { findings.isEmpty }
}

/// How far a run is.
package struct ScrubProgress: Hashable, Sendable {
    /// By this run.
    package var blobs = 0
    package var bytes = ByteCount(0)
    package var shards = 0
    package var allShards = 0
}

/// How a scrub goes about it.
package struct ScrubOptions: Sendable {
    /// Bytes a second; nil is as fast as it goes.
    package var rate: ByteCount?
    /// No blob is begun after it.
    package var maxDuration: Duration?
    /// Believes the client's cache: only to measure the hashing.
    package var isCached = false
    /// How long the work of a killed run may be that the next one does again, beyond the blobs it was at.
    package var checkpoint = Duration.seconds(10)

    package init() {}
}
