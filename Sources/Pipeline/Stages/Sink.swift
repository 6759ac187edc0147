import SluiceBytes

/// The shape in which a sink takes bytes, and its limits.
public struct SinkCapabilities: Sendable {
    /// How bytes are handed over.
    public enum Shape: Sendable, Hashable {
        /// Chunks at any offset, in any order; what was written can be read back (a local file).
        case positioned
        /// Whole parts, in any order, each acknowledged with a receipt (S3).
        case parts
        /// Parts strictly in order (a pipe).
        case ordered
    }

    /// The shape.
    public var shape: Shape
    /// Smallest part but the last, bytes.
    public var minimumPart: UInt64
    /// Largest part, bytes.
    public var maximumPart: UInt64
    /// Most parts of one object.
    public var maximumParts: Int
    /// All parts but the last must be equally long.
    public var equalParts: Bool
    /// The part size the sink works best with, bytes.
    public var preferredPart: UInt64
    /// Digests of every part that the sink wants before it takes the part. CRC32C is always computed.
    public var partDigests: Set<DigestAlgorithm>
    /// Digests of the whole that the sink wants at commit, beside SHA-256.
    public var objectDigests: Set<DigestAlgorithm>

    /// Capabilities from their parts; the defaults are those of a local file.
    public init(
        shape: Shape,
        minimumPart: UInt64 = 1,
        maximumPart: UInt64 = 1 << 40,
        maximumParts: Int = 1 << 20,
        equalParts: Bool = false,
        preferredPart: UInt64 = 16 << 20,
        partDigests: Set<DigestAlgorithm> = [],
        objectDigests: Set<DigestAlgorithm> = []
    ) {
        self.shape = shape
        self.minimumPart = minimumPart
        self.maximumPart = maximumPart
        self.maximumParts = maximumParts
        self.equalParts = equalParts
        self.preferredPart = preferredPart
        self.partDigests = partDigests
        self.objectDigests = objectDigests
    }
}

/// The unit that a sink accepts and acknowledges.
public struct Part: Sendable, Hashable {
    /// From 0.
    public let index: Int
    /// Its bytes.
    public let range: ByteRange

    /// A part.
    public init(index: Int, range: ByteRange) {
        self.index = index
        self.range = range
    }
}

/// What a sink returned for a part: enough to resume in another process.
public struct PartReceipt: Sendable, Hashable {
    /// The part.
    public var part: Part
    /// The sink's own word for it (an S3 ETag); empty for files.
    public var tag: String
    /// CRC32C of the part's bytes, with which a resume re-verifies what it reuses; nil for a part that a server copied
    /// from another object, whose bytes never came by here.
    public var crc32c: Digest?
    /// The other digests that the sink asked for.
    public var digests: [Digest]

    /// A receipt from its parts.
    public init(part: Part, tag: String, crc32c: Digest?, digests: [Digest] = []) {
        self.part = part
        self.tag = tag
        self.crc32c = crc32c
        self.digests = digests
    }
}

/// What a sink must know before the first byte.
public struct WritePlan: Sendable {
    /// Length in bytes; nil if unknown.
    public var size: UInt64?
    /// The part size of `parts` and `ordered` sinks, bytes.
    public var partSize: UInt64
    /// What is known of the object.
    public var info: ObjectInfo
    /// The source's location, redacted: for sinks that record where bytes came from.
    public var origin: String
    /// The digest that the whole must have, if it is published.
    public var expected: Digest?
    /// What to do with what is there.
    public var overwrite: OverwritePolicy
    /// The entity tag or fingerprint of what `existing()` saw, so that only that is replaced.
    public var replaces: String?
    /// What an earlier session left in the journal: `SinkSession.record` as it was saved; nil to start anew.
    public var resume: [UInt8]?
    /// Receipts of the earlier session, in part order.
    public var receipts: [PartReceipt]
    /// The server copies the parts from another object of its own: their bytes, and so their digests, never come by.
    public var isServerCopy = false
    /// All bytes come from the source itself under `info.pin`: a sink may note what that version was.
    public var isOneVersion = false
    /// `expected` is what the sink itself has recalled of the version: it is linked if it is there, and not waited for.
    public var isRecalled = false

    /// A plan from its parts.
    public init(
        size: UInt64?,
        partSize: UInt64,
        info: ObjectInfo,
        origin: String = "",
        expected: Digest? = nil,
        overwrite: OverwritePolicy = .refuse,
        replaces: String? = nil,
        resume: [UInt8]? = nil,
        receipts: [PartReceipt] = []
    ) {
        self.size = size
        self.partSize = partSize
        self.info = info
        self.origin = origin
        self.expected = expected
        self.overwrite = overwrite
        self.replaces = replaces
        self.resume = resume
        self.receipts = receipts
    }
}

/// An object at a sink.
public struct StoredObject: Sendable, Hashable {
    /// Redacted location.
    public var location: String
    /// Length in bytes.
    public var size: UInt64
    /// Changes when the object changes: ETag and version, or inode, size and mtime.
    public var fingerprint: String
    /// The SHA-256 that is recorded beside the object (S3 metadata or tag); nil for a file: its bytes are the record.
    public var recordedSHA256: Digest?
    /// How the digest came to be recorded at the sink, for the proof: `metadata`, `tag`, `none`.
    public var note: String?

    /// A stored object.
    public init(
        location: String,
        size: UInt64,
        fingerprint: String,
        recordedSHA256: Digest? = nil,
        note: String? = nil
    ) {
        self.location = location
        self.size = size
        self.fingerprint = fingerprint
        self.recordedSHA256 = recordedSHA256
        self.note = note
    }

    /// Whether a fingerprint is of this object. A server's version stands behind the entity tag, and a copy of the same
    /// bytes has another one.
    package func isVersion(_ other: String) -> Bool {
        other.prefix { $0 != " " } == fingerprint.prefix { $0 != " " }
    }
}

/// What commit must know.
public struct CommitRequest: Sendable {
    /// Length in bytes.
    public var size: UInt64
    /// SHA-256 of the whole, as hashed in the pass; nil only for a server-side copy, whose bytes never came by.
    public var sha256: Digest?
    /// The other digests of the whole that the sink asked for.
    public var digests: [Digest]
    /// Every part's receipt, in part order.
    public var receipts: [PartReceipt]

    /// A commit from its parts.
    public init(size: UInt64, sha256: Digest?, digests: [Digest] = [], receipts: [PartReceipt]) {
        self.size = size
        self.sha256 = sha256
        self.digests = digests
        self.receipts = receipts
    }
}

/// How a write is paced and observed.
public struct WriteOptions: Sendable {
    /// Books sent bytes before they pass.
    public var gate: (any FlowGate)?
    /// Called for bytes as they leave, on any thread; must not block. A retry counts again; the caller corrects.
    public var onSent: (@Sendable (Int) -> Void)?

    /// Options.
    public init(gate: (any FlowGate)? = nil, onSent: (@Sendable (Int) -> Void)? = nil) {
        self.gate = gate
        self.onSent = onSent
    }
}

/// An object that is being written. Nothing is visible under its final name before `commit` returns.
public protocol SinkSession: Sendable {
    /// What another process needs to take this session up: an upload id and write token, a temporary name. Saved to
    /// the journal when it changes and before it is relied on. Holds no secret.
    var record: [UInt8] { get async }

    /// Receipts of the earlier session that this one found to be still true, after looking (ListParts; for files the
    /// runner re-reads the bytes itself).
    var confirmed: [PartReceipt] { get async }

    /// What must not be done before the journal has `record`: an upload is created, room is reserved. Before any write of
    /// an object that is not held whole; called again after a failure that another try may mend. `record` may change by
    /// it and is saved again.
    func prepare() async throws

    /// Positioned sinks: writes a chunk at an offset.
    func write(_ chunk: Chunk, at offset: UInt64) async throws

    /// Positioned sinks: reads back what was written, at most a chunk; fewer bytes than asked only at the end.
    func readBack(_ range: ByteRange, pool: BufferPool) async throws -> Chunk

    /// Parts and ordered sinks: writes one whole part and returns its receipt. Replayable: called again after a
    /// failure with the same bytes.
    func write(part: Part, chunks: [Chunk], digests: [Digest], options: WriteOptions) async throws -> PartReceipt

    /// Makes the object durable and visible, once; idempotent: an unknown outcome is resolved by looking.
    func commit(_ request: CommitRequest) async throws -> StoredObject

    /// Removes every trace, if it can; never throws, never hides the first error. Must work in a cancelled task.
    func abort() async
}

extension SinkSession {
    /// For sinks whose `begin` leaves nothing that the journal must know first.
    public func prepare() async throws {}

    /// For sinks of another shape.
    public func write(_ chunk: Chunk, at offset: UInt64) async throws {
        throw SluiceError(.internalFault, "this sink takes parts, not chunks at offsets")
    }

    /// For sinks of another shape.
    public func readBack(_ range: ByteRange, pool: BufferPool) async throws -> Chunk {
        throw SluiceError(.internalFault, "this sink cannot be read back")
    }

    /// For sinks of another shape.
    public func write(part: Part, chunks: [Chunk], digests: [Digest], options: WriteOptions) async throws -> PartReceipt
    {
        throw SluiceError(.internalFault, "this sink takes chunks at offsets, not parts")
    }
}

/// A copy that the sink's own server can make without the bytes passing here.
public protocol ServerSideCopy: Sendable {
    /// The part size to use, bytes.
    var partSize: UInt64 { get }

    /// Copies one part on the server, pinned to the source's version.
    func copy(part: Part, session: any SinkSession) async throws -> PartReceipt
}

/// The place of one object at a sink.
public protocol SinkTarget: Sendable {
    /// For errors and state, without anything secret. Otherwise exact, so that another process finds the same place by
    /// it; what shows it makes it printable.
    var location: String { get }

    /// Where the bytes go, for admission and back-off.
    var host: String { get }

    /// Whether it keeps to the pace of `WriteOptions`. One that does not is paced by what is read, also from a local disk.
    var pacesWrites: Bool { get }

    /// The shape and the limits.
    var capabilities: SinkCapabilities { get async throws }

    /// What is under the final name now; nil if nothing is. Asked before the first body byte.
    func existing() async throws -> StoredObject?

    /// Whether `stored` holds content with `digest`: from its record, or by reading it where that is local and cheap.
    /// Nil if that cannot be told without moving the bytes.
    func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool?

    /// Makes this object from another of the same sink with the same content, without moving bytes over the network;
    /// nil if the sink cannot.
    func adopt(_ stored: StoredObject, digest: Digest, overwrite: OverwritePolicy) async throws -> StoredObject?

    /// Whether the sink knows its content by digest, so that `link` may find it: then a source that publishes digests is
    /// not asked for bytes ahead.
    var knowsContent: Bool { get }

    /// The SHA-256 of a version's bytes, as the sink has noted it when they came from there, published and matched. For
    /// whoever knows the version only by what a listing told. Nil if it has noted none, has not the bytes any more, or
    /// would have to work longer than a look at the source takes. Only of a sink that `knowsContent`.
    func recall(_ info: ObjectInfo) async -> Digest?

    /// Makes this object from content that the sink holds already, under whatever name; nil if it has none of it, and
    /// the bytes are to be fetched. May wait for another process that is fetching them.
    ///
    /// - Parameter plan: with `expected`, and with `replaces` as `existing()` saw it.
    func link(_ plan: WritePlan, willWait: @Sendable () -> Void) async throws -> StoredObject?

    /// Gives back what a `link` that found nothing has taken to keep others waiting: nothing is fetched after all. Must work
    /// in a cancelled task.
    func giveBack(_ digest: Digest) async

    /// Whether `serverSideCopy` may be possible, told without I/O: then the source's bytes are not asked for ahead.
    func mayCopyOnServer(from object: any SourceObject) -> Bool

    /// A copy within the server, if source and target are served by the same endpoint with the same credentials.
    func serverSideCopy(from object: any SourceObject, info: ObjectInfo) async throws -> (any ServerSideCopy)?

    /// Starts a session that has all bytes already: the file system shares those of the source. Nil if it cannot; then
    /// they are moved.
    func beginSharing(_ source: any SourceObject, _ plan: WritePlan) async throws -> (any SinkSession)?

    /// Starts, or takes up, the writing of the object.
    func begin(_ plan: WritePlan) async throws -> any SinkSession
}

extension SinkTarget {
    /// Sinks that cannot.
    public func adopt(_ stored: StoredObject, digest: Digest, overwrite: OverwritePolicy) async throws -> StoredObject?
    {
        nil
    }

    /// Sinks on this machine.
    public var pacesWrites: Bool { false }

    /// Sinks that know their objects by name only.
    public var knowsContent: Bool { false }

    /// Sinks that note nothing.
    public func recall(_ info: ObjectInfo) async -> Digest? { nil }

    /// Sinks that know their objects by name only.
    public func link(_ plan: WritePlan, willWait: @Sendable () -> Void) async throws -> StoredObject? { nil }

    /// Sinks that keep nobody waiting.
    public func giveBack(_ digest: Digest) async {}

    /// Sinks that are no file system.
    public func beginSharing(_ source: any SourceObject, _ plan: WritePlan) async throws -> (any SinkSession)? { nil }

    /// Sinks that have no server.
    public func mayCopyOnServer(from object: any SourceObject) -> Bool { false }

    /// Sinks that have no server.
    public func serverSideCopy(
        from object: any SourceObject,
        info: ObjectInfo
    ) async throws -> (any ServerSideCopy)? { nil }
}

/// Where bytes go: a directory, a prefix, or the place of one object.
public protocol Sink: Sendable {
    /// For people: redacted.
    var location: String { get }

    /// Whether the location can hold many objects (a directory, a prefix that ends in `/`) rather than be one.
    func isContainer() async throws -> Bool

    /// The place of the object `relativeKey` below the location; an empty key is the location itself.
    ///
    /// - Throws: `.unsafeName` when the key does not map to a safe place below the location, with the reason.
    func target(_ relativeKey: ObjectKey) throws -> any SinkTarget

    /// Removes leftovers of dead sessions of ours below the location (temporaries, unfinished uploads). One that
    /// cannot be removed keeps none of the others.
    ///
    /// - Parameters:
    ///   - olderThan: leave younger ones alone.
    ///   - known: what the state store says of sessions.
    /// - Throws: `SluiceError` when it cannot be told what is there.
    func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport
}
