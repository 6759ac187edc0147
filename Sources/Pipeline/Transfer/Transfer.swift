import SluiceBytes

/// A transfer's row in the queue.
public struct TransferID: Hashable, Sendable, Codable, Comparable, CustomStringConvertible {
    /// The row's number.
    public let value: Int64

    /// An id from its row number.
    public init(_ value: Int64) {
        self.value = value
    }

    /// The number.
    public var description: String { "\(value)" }

    /// In order of entry.
    public static func < (left: TransferID, right: TransferID) -> Bool { left.value < right.value }
}

/// A job's row.
public struct JobID: Hashable, Sendable, Codable, CustomStringConvertible {
    /// The row's number.
    public let value: Int64

    /// An id from its row number.
    public init(_ value: Int64) {
        self.value = value
    }

    /// The number.
    public var description: String { "\(value)" }
}

/// Where a transfer stands. Every transfer ends in `done`, `skipped`, `failed` or `cancelled`.
public enum TransferState: String, Sendable, Codable, CaseIterable {
    /// Waits for admission.
    case queued
    /// Under a lease.
    case running
    /// Waits for its next attempt.
    case delayed
    /// Held by the user.
    case paused
    /// Waits for a person: space, credentials.
    case parked
    /// Proven at the sink.
    case done
    /// The sink had it already, or the user's policy left it out.
    case skipped
    /// Ended by an error.
    case failed
    /// Ended by the user.
    case cancelled

    /// Whether it will never change by itself again.
    public var isTerminal: Bool { [.done, .skipped, .failed, .cancelled].contains(self) }
}

/// A version of an object, as a listing told it.
public struct ListedVersion: Sendable, Hashable, Codable {
    /// The entity tag, with its quotes.
    public var etag: String
    /// Last modification, seconds since 1970.
    public var modified: Int64
    /// When the listing came, milliseconds since 1970.
    public var at: Int64

    /// A version from its parts.
    public init(etag: String, modified: Int64, at: Int64) {
        self.etag = etag
        self.modified = modified
        self.at = at
    }
}

/// What the user asked for, as far as another process needs it. No secret: those stay in the process that was given
/// them, and `needsCommand` says so.
public struct TransferRequest: Sendable, Hashable, Codable {
    /// The source object's location: redacted if `needsCommand`.
    public var source: String
    /// The target's location.
    public var target: String
    /// Names the endpoint and credentials by profile, region and so on; JSON of the CLI's own, without secrets.
    public var settings: String
    /// What may happen to what is there.
    public var overwrite: OverwritePolicy
    /// The SHA-256 that the user demands, hexadecimal.
    public var expectedSHA256: String?
    /// Whether only the command that was given the secrets (headers, a signed URL) can run it.
    public var needsCommand: Bool
    /// The host of the source, for admission.
    public var host: String
    /// Length in bytes if the listing told, for totals and for order.
    public var size: UInt64?
    /// The version that the listing told: in a claim only while the listing is fresh.
    public var listed: ListedVersion?
    /// Transfers of one job with the same number are one object on its way to several sinks: its source is read once
    /// for those of them that run together. Nil for an object with one sink.
    public var fanOut: Int64?
    /// Other locations of the same object, in the order in which they are asked; as `source` redacted if `needsCommand`.
    public var alternates: [String]

    /// A request from its parts.
    public init(
        source: String,
        target: String,
        settings: String = "{}",
        overwrite: OverwritePolicy = .refuse,
        expectedSHA256: String? = nil,
        needsCommand: Bool = false,
        host: String,
        size: UInt64? = nil,
        listed: ListedVersion? = nil,
        fanOut: Int64? = nil,
        alternates: [String] = []
    ) {
        self.source = source
        self.target = target
        self.settings = settings
        self.overwrite = overwrite
        self.expectedSHA256 = expectedSHA256
        self.needsCommand = needsCommand
        self.host = host
        self.size = size
        self.listed = listed
        self.fanOut = fanOut
        self.alternates = alternates
    }
}

/// A claimed transfer: the right to work on it until the lease ends.
public struct ClaimedTransfer: Sendable {
    /// The row.
    public var id: TransferID
    /// Its job.
    public var job: JobID
    /// What to do.
    public var request: TransferRequest
    /// Rises with every claim: writes with an older fence are refused.
    public var fence: Int64
    /// Attempts that ended without progress before this one.
    public var attempts: Int
    /// The priority at admission.
    public var priority: Int
    /// Whether it is known that no earlier attempt left a journal.
    public var isFresh: Bool

    /// A claim from its parts.
    public init(
        id: TransferID,
        job: JobID,
        request: TransferRequest,
        fence: Int64,
        attempts: Int,
        priority: Int,
        isFresh: Bool = false
    ) {
        self.id = id
        self.job = job
        self.request = request
        self.fence = fence
        self.attempts = attempts
        self.priority = priority
        self.isFresh = isFresh
    }
}

/// How the bytes were verified.
public enum Proof: String, Sendable, Codable {
    /// A digest from the source's authority, or from the user, was matched.
    case published
    /// Size, pin and connection integrity only.
    case transport
}

/// Bytes of an object that did not come from its source.
public struct AlternateShare: Sendable, Hashable {
    /// The alternate, redacted.
    public var location: String
    /// How many came from there and are part of the object.
    public var bytes: UInt64

    /// A share from its parts.
    public init(location: String, bytes: UInt64) {
        self.location = location
        self.bytes = bytes
    }
}

/// The end of a transfer that succeeded.
public struct TransferOutcome: Sendable, Hashable {
    /// `done` or `skipped`.
    public var state: TransferState
    /// How the bytes were verified.
    public var proof: Proof
    /// SHA-256 of the whole; nil for a server-side copy and for a skipped transfer without a digest.
    public var sha256: Digest?
    /// Length in bytes.
    public var size: UInt64
    /// Bytes that were fetched for it, all attempts of this process.
    public var moved: UInt64
    /// The object at the sink.
    public var stored: StoredObject
    /// Why nothing moved, or how the digest was kept: one short sentence.
    public var note: String?
    /// What came from alternates, in their order; empty if all came from the source, or nothing came.
    public var alternates: [AlternateShare] = []

    /// An outcome from its parts.
    public init(
        state: TransferState,
        proof: Proof,
        sha256: Digest?,
        size: UInt64,
        moved: UInt64,
        stored: StoredObject,
        note: String? = nil
    ) {
        self.state = state
        self.proof = proof
        self.sha256 = sha256
        self.size = size
        self.moved = moved
        self.stored = stored
        self.note = note
    }
}
