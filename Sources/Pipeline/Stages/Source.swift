import SluiceBytes

/// How a read is paced and observed.
public struct ReadOptions: Sendable {
    /// Books received bytes before they pass; nil: as fast as they come.
    public var gate: (any FlowGate)?
    /// Chunks that may wait unread beside the one that fills.
    public var window: Int
    /// Called for bytes as they arrive, on any thread; must not block.
    public var onReceived: (@Sendable (Int) -> Void)?
    /// Chunks for the bytes.
    public var pool: BufferPool
    /// Nothing arrives for so long, our own pauses not counted: the read fails.
    public var idleTimeout: Duration

    /// Options for reads into `pool`.
    public init(
        pool: BufferPool,
        gate: (any FlowGate)? = nil,
        window: Int = 2,
        idleTimeout: Duration = .seconds(30),
        onReceived: (@Sendable (Int) -> Void)? = nil
    ) {
        self.pool = pool
        self.gate = gate
        self.window = window
        self.idleTimeout = idleTimeout
        self.onReceived = onReceived
    }
}

/// An object looked at, with its first read under way where the source could not look without starting one.
public struct OpenedObject: Sendable {
    /// The version that every later read is pinned to.
    public var info: ObjectInfo
    /// A read in progress, from byte 0: of the first `firstRange` bytes asked for, or of everything where the source
    /// knows no ranges. Nil if nothing is under way. Whoever does not use it cancels it.
    public var stream: (any ByteStream)?
    /// What `stream` covers; `upper` is `UInt64.max` for a stream of unknown length.
    public var streamRange: ByteRange

    /// An object with or without a read in progress.
    public init(info: ObjectInfo, stream: (any ByteStream)? = nil, streamRange: ByteRange = ByteRange(0, 0)) {
        self.info = info
        self.stream = stream
        self.streamRange = streamRange
    }
}

/// One object at a source: it can be looked at and read.
public protocol SourceObject: Sendable {
    /// For errors and state, without userinfo, query values or anything else secret. Otherwise exact, so that another
    /// process opens the same object by it; what shows it makes it printable.
    var location: String { get }

    /// Where the bytes come from, for admission and back-off: `https://host:port`, `file`, an S3 bucket.
    var host: String { get }

    /// Whether the stream that `open` returns fills memory before it is asked for bytes: that memory is admitted first,
    /// and the stream is dropped and asked for anew where it turns out to be too little. False for what can be read
    /// only once (a pipe).
    var readsAhead: Bool { get }

    /// Whether the first look may bring a published digest.
    var publishesDigests: Bool { get }

    /// What a listing told of the object, as a look would tell it, digests and headers left out; nil if only a look tells
    /// which version it is.
    ///
    /// - Parameter size: the length in the listing, bytes.
    func listed(_ version: ListedVersion, size: UInt64) -> ObjectInfo?

    /// Looks at the object, and may begin to read its first `prefetch` bytes in the same request.
    ///
    /// - Throws: `SluiceError` with `.notFound`, `.notAuthorised`, …; its `retry` says whether to try again.
    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject

    /// Reads exactly `range` of the version `info`. The stream ends after `range.count` bytes, or throws.
    ///
    /// - Throws: `.sourceChanged` (retry `.restart`) when the source now holds another version: never bytes of it.
    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream

    /// Looks again, after the last byte was read: throws `.sourceChanged` if the version is not `info` any more.
    ///
    /// Sources whose every read was pinned (S3 with If-Match, HTTP with a strong ETag) have nothing to do here; a
    /// file's bytes can change under an open descriptor.
    func confirmUnchanged(_ info: ObjectInfo) async throws
}

extension SourceObject {
    /// What comes over a network does.
    public var readsAhead: Bool { true }

    /// Assumed, unless the source knows better.
    public var publishesDigests: Bool { true }

    /// For sources whose listings tell no versions.
    public func listed(_ version: ListedVersion, size: UInt64) -> ObjectInfo? { nil }
}

/// One object of a listing.
public struct SourceEntry: Sendable {
    /// The object's name relative to the location that was listed; empty for the location itself.
    public var relativeKey: ObjectKey
    /// The name with which it is shown and stored when it is copied alone.
    public var baseName: ObjectKey
    /// Length in bytes if the listing tells.
    public var size: UInt64?
    /// Last modification, seconds since 1970, if the listing tells.
    public var modified: Int64?
    /// The entity tag if the listing tells.
    public var etag: String?
    /// A common prefix or a directory: it has no bytes.
    public var isPrefix: Bool
    /// The location of this one object, good for opening it in another process.
    public var location: String

    /// An entry from its parts.
    public init(
        relativeKey: ObjectKey,
        baseName: ObjectKey,
        size: UInt64? = nil,
        modified: Int64? = nil,
        etag: String? = nil,
        isPrefix: Bool = false,
        location: String
    ) {
        self.relativeKey = relativeKey
        self.baseName = baseName
        self.size = size
        self.modified = modified
        self.etag = etag
        self.isPrefix = isPrefix
        self.location = location
    }
}

/// What a listing yields: entries, and what could not be listed (unknown, never absent: DESIGN rule 9).
public enum ListingItem: Sendable {
    /// Something that is there.
    case entry(SourceEntry)
    /// Something that was skipped, with its reason: a symlink loop, an unreadable entry, a socket.
    case skipped(SluiceError)
}

/// Where bytes come from: a location that holds one object or many.
public protocol Source: Sendable {
    /// For people: redacted.
    var location: String { get }

    /// Lists what the location holds, page by page: memory does not grow with the number of objects.
    ///
    /// - Parameter recursive: everything below, rather than one level with `isPrefix` entries.
    func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error>

    /// Whether the location names one object rather than a directory or a prefix.
    func isSingleObject() async throws -> Bool

    /// What the one object that the location names is called where it is stored, if not by the end of its location:
    /// asked for after `isSingleObject`. Foreign, so sinks check it like any key.
    func objectName() async throws -> ObjectKey?

    /// The object of an entry of this source's own listing, or of the location itself (`relativeKey` empty).
    func object(_ relativeKey: ObjectKey) throws -> any SourceObject
}

extension Source {
    /// By the end of its location.
    public func objectName() async throws -> ObjectKey? { nil }
}
