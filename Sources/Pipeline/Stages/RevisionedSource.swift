import SluiceBytes

/// Which revision a location stands for: asked once for a run, and never again.
public struct SourceRevision: Sendable, Hashable {
    /// The protocol: `hugging-face`, `civitai`, `modelscope`, `ollama`.
    public var hub: String
    /// The hub's address, `https://huggingface.co`.
    public var endpoint: String
    /// What kind of thing it is there: `models`, `datasets`, …
    public var kind: String
    /// The name that the hub answers with, which a renamed thing was not asked by.
    public var name: String
    /// What stays when it is renamed, if the hub tells.
    public var identity: String?
    /// As the user asked: a branch, a tag, a version.
    public var requested: String
    /// What never changes: a commit, a version's number, a digest of the listing.
    public var resolved: String
    /// What holds at this moment and may not later: licence, gating, whether it is private.
    public var about: [String: String]

    /// A revision from its parts.
    public init(
        hub: String,
        endpoint: String,
        kind: String,
        name: String,
        identity: String? = nil,
        requested: String,
        resolved: String,
        about: [String: String] = [:]
    ) {
        self.hub = hub
        self.endpoint = endpoint
        self.kind = kind
        self.name = name
        self.identity = identity
        self.requested = requested
        self.resolved = resolved
        self.about = about
    }
}

/// Every file of one revision, as its hub lists it.
public struct SourceTree: Sendable {
    /// A file of the revision.
    public struct File: Sendable, Hashable {
        /// Below the location that was listed.
        public var path: ObjectKey
        /// Length in bytes.
        public var size: UInt64
        /// Digests of its bytes that the hub publishes.
        public var published: [Digest]
        /// Git's name of what stands in the repository: of the bytes, or of the pointer to them.
        public var object: Digest?
        /// Opens the same version in another process.
        public var location: String
        /// Whether readers find the other files by it: then it arrives after them.
        public var namesOthers: Bool

        /// A file from its parts.
        public init(
            path: ObjectKey,
            size: UInt64,
            published: [Digest],
            object: Digest? = nil,
            location: String,
            namesOthers: Bool = false
        ) {
            self.path = path
            self.size = size
            self.published = published
            self.object = object
            self.location = location
            self.namesOthers = namesOthers
        }
    }

    /// In byte order of their paths, each once.
    public var files: [File]
    /// What is listed and cannot be had, with its reason.
    public var refused: [ObjectKey: SluiceError]
    /// Git's names of the directories, where the hub publishes them.
    public var directories: [ObjectKey: Digest]
    /// What the hub answered, page by page: the evidence.
    public var pages: [[UInt8]]

    /// Bytes of all pages at most: a mirror keeps them, and `verify` reads them again whole.
    public static let mostBytes = ByteCount.mebibytes(192)

    /// A tree from its parts; `files` in any order.
    public init(
        files: [File],
        refused: [ObjectKey: SluiceError] = [:],
        directories: [ObjectKey: Digest] = [:],
        pages: [[UInt8]]
    ) {
        self.files = files.sorted { $0.path < $1.path }
        self.refused = refused
        self.directories = directories
        self.pages = pages
    }
}

/// A source whose objects belong together as one revision.
public protocol RevisionedSource: Source {
    /// Asks which revision the location's name stands for now: one request.
    ///
    /// - Parameter requested: instead of what the location names.
    func revision(named requested: String?) async throws -> SourceRevision

    /// By which name `revision(named:)` finds again what was resolved once: what never changes where the hub can be asked
    /// by it; elsewhere the name of then, which may stand for something else by now. No request.
    func name(of revision: SourceRevision) -> String

    /// Lists the revision, whole: an incomplete listing is an error, never a short one.
    func tree(of revision: SourceRevision) async throws -> SourceTree
}
