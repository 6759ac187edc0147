import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// One of the places where a mirror is kept: its sink, and what its own records say that it holds.
struct MirrorPlace: Sendable {
    let target: CopyTarget
    /// The pointer of the revision that was asked for; nil if there is none.
    let ref: MirrorRef?
    /// What that points to.
    let manifest: MirrorManifest?
    private let revision: SourceRevision
    private let rules: MirrorRules

    /// Looks at the records: two small reads.
    ///
    /// - Parameter named: whether the mirror goes below the location, under its hub's name.
    init(
        _ session: any CommandSession,
        _ rules: MirrorRules,
        _ location: Location,
        of revision: SourceRevision,
        named: Bool
    ) async throws {
        let place = try MirrorPlace.location(location, session, revision, named: named)
        var copy = CopyRules()
        copy.recursive = true
        copy.settings = rules.settings
        target = try await CopyTarget(session, copy, place, many: false)
        self.revision = revision
        self.rules = rules
        let reader = RecordReader(session: session, target: target)
        ref = try await reader.read(MirrorKeys.ref(revision.requested), limit: MirrorRef.limit).map {
            try MirrorRef($0.bytes, $0.location)
        }
        guard let ref else {
            manifest = nil
            return
        }
        manifest = try await reader.manifest(ref.current.manifest)
    }

    /// Whether the target has this revision, whole or as far as it was selected.
    var isCurrent: Bool {
        guard let manifest, manifest.source.resolved == revision.resolved, manifest.source.name == revision.name else {
            return false
        }
        return manifest.layout == rules.layout && manifest.selection == rules.selection
    }

    func plan(_ tree: SourceTree, _ rules: MirrorRules) throws(SluiceError) -> MirrorPlan {
        try MirrorPlan(tree, previous: manifest, layout: rules.layout, leavingOut: rules.reason) { file in
            MirrorKeys.plain(file.path) { (try? target.sink.target($0)) != nil }
        }
    }

    /// A transfer of a file of the plan.
    func request(_ item: MirrorPlan.Item, host: String, fanOut: Int64?) throws -> TransferRequest {
        TransferRequest(
            source: item.file.location,
            target: try target.sink.target(item.key).location,
            settings: target.settings,
            // What the mirror brought it may replace; what somebody else put there it may not.
            overwrite: rules.overwrite || item.action == .changed ? .overwrite : .refuse,
            host: host,
            size: item.file.size,
            fanOut: fanOut
        )
    }

    /// Where the mirror is: a tree of a store is named after the revision unless the user names it.
    private static func location(
        _ location: Location,
        _ session: any CommandSession,
        _ revision: SourceRevision,
        named: Bool
    ) throws -> Location {
        if case .cas = location.kind, let path = location.localPath, try session.place(path).tree == nil {
            let kind = MirrorPlace.storeKinds[revision.hub]?[revision.kind] ?? revision.hub
            return try location.below("\(kind):\(revision.name)@\(revision.resolved)/")
        }
        return try location.below(named ? "\(revision.name)/" : "")
    }

    /// The kinds of trees (`TreePlace`) that the views of the store know.
    private static let storeKinds = [
        "hugging-face": ["models": "hf", "datasets": "hf-dataset", "spaces": "hf-space"],
        "modelscope": ["models": "modelscope"],
        "ollama": ["models": "ollama"],
    ]
}

/// Reads the small files that a mirror keeps of itself.
struct RecordReader: Sendable {
    let session: any CommandSession
    let target: CopyTarget

    /// - Throws: `.notFound` with the digest if the ref's manifest is not there, `.digestMismatch` if it is another.
    func manifest(_ digest: Digest) async throws -> MirrorManifest {
        let key = MirrorKeys.manifest(digest)
        guard let record = try await read(key, limit: MirrorManifest.limit) else {
            throw SluiceError(
                .notFound,
                object: try target.sink.target(key).location,
                "the mirror's ref points to this manifest, and it is not there",
                remedy: "remove the ref, \(MirrorKeys.records)refs/, and mirror again: what is there is compared, not "
                    + "fetched again"
            )
        }
        let found = record.bytes.withUnsafeBytes { SHA256.hash($0) }
        guard found == digest else {
            throw SluiceError(
                .digestMismatch,
                object: record.location,
                "the manifest has \(found), and its name says \(digest)",
                remedy: "it was damaged or changed: mirror again into a new place, or restore it"
            )
        }
        return try MirrorManifest(record.bytes, record.location)
    }

    /// Nil if it is not there.
    func read(_ key: ObjectKey, limit: ByteCount) async throws -> (bytes: [UInt8], location: String)? {
        let location = try target.sink.target(key).location
        let object = try session.source(try Resolver.location(location)).object(ObjectKey(""))
        do {
            let bytes = try await session.retrying.run(host: object.host, object: object.location) {
                try await RecordReader.read(object, limit: limit, pool: session.pool)
            }
            return (bytes, location)
        } catch let error as SluiceError where error.code == .notFound {
            return nil
        }
    }

    private static func read(_ object: any SourceObject, limit: ByteCount, pool: BufferPool) async throws -> [UInt8] {
        let options = ReadOptions(pool: pool)
        let opened = try await object.open(prefetch: 1 << 20, options: options)
        guard let size = opened.info.size, size <= limit.bytes else {
            opened.stream?.cancel()
            throw SluiceError(
                .badAnswer,
                object: object.location,
                "has \(opened.info.size.map { "\($0) bytes" } ?? "no length"), and a record of its kind has at most "
                    + "\(limit.bytes)",
                remedy: "move it away and check who wrote it"
            )
        }
        var bytes: [UInt8] = []
        if let stream = opened.stream { try await append(stream, to: &bytes) }
        if UInt64(bytes.count) < size {
            let rest = try await object.read(ByteRange(UInt64(bytes.count), size), of: opened.info, options: options)
            try await append(rest, to: &bytes)
        }
        try await object.confirmUnchanged(opened.info)
        return bytes
    }

    private static func append(_ stream: any ByteStream, to bytes: inout [UInt8]) async throws {
        while let chunk = try await stream.next() { chunk.withBytes { bytes.append(contentsOf: $0) } }
    }
}
