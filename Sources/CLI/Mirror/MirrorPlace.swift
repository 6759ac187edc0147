import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// One of the places where a mirror is kept: its sink, and what its own records say that it holds.
struct MirrorPlace: Sendable {
    let target: CopyTarget
    let layout: MirrorLayout
    /// Of the layout `hf-cache`.
    let cache: MirrorCache?
    /// The pointer of the revision that was asked for; nil if there is none.
    let ref: MirrorRef?
    /// What that points to.
    let manifest: MirrorManifest?
    /// What manifests before that one brought, by its keys, as far as it may be left; only if such is to be deleted.
    let earlier: [ObjectKey: MirrorManifest.File]
    /// What is there, as far as it was looked for.
    let look: PlaceLook
    let rules: MirrorRules
    private let revision: SourceRevision

    /// Looks at the records, two small reads, and whether what they name is there; no byte of a file is read. Of a place
    /// without the ref its other refs are listed.
    ///
    /// - Parameter named: whether the mirror goes below the location, under its hub's name.
    init(
        _ session: any CommandSession,
        _ rules: MirrorRules,
        _ location: Location,
        of revision: SourceRevision,
        named: Bool
    ) async throws {
        let layout = rules.layout(at: location)
        var cache: MirrorCache?
        let place: Location
        if layout == .huggingFaceCache, let path = location.localPath {
            let made = try MirrorCache(path, revision)
            place = try location.below(String(decoding: made.repository.directory, as: UTF8.self) + "/")
            cache = made
        } else {
            place = try MirrorPlace.location(location, session, revision, rules, named: named)
        }
        var copy = CopyRules()
        copy.recursive = true
        copy.settings = rules.settings
        target = try await CopyTarget(session, copy, place, many: false)
        self.layout = layout
        self.cache = cache
        self.revision = revision
        self.rules = rules
        let reader = RecordReader(session: session, target: target)
        ref = try await reader.read(MirrorKeys.ref(revision.requested), limit: MirrorRef.limit).map {
            try MirrorRef($0.bytes, $0.location)
        }
        guard let ref else {
            try await MirrorPlace.refuseOthers(reader, than: revision)
            manifest = nil
            earlier = [:]
            look = try await PlaceLook(session, target, nil, all: rules.looksForOthers)
            return
        }
        var manifest = try await reader.manifest(ref.current.manifest)
        try MirrorPlace.refuseOther(manifest.source, than: revision, at: target.sink.location)
        // Whoever clears a cache does not know of the manifest.
        let isThere = cache?.has(manifest.source.resolved) ?? true
        let looksLikeFiles = isThere && layout == .plain && manifest.layout == layout
        look = try await PlaceLook(session, target, looksLikeFiles ? manifest : nil, all: rules.looksForOthers)
        for index in manifest.files.indices {
            if let now = look.renewed[manifest.files[index].path] { manifest.files[index].stored = now }
        }
        self.manifest = isThere ? manifest : nil
        let known = manifest.layout == layout ? manifest.files : []
        earlier = rules.deletes ? try await MirrorPlace.earlier(reader, ref.leftovers, layout, besides: known) : [:]
    }

    /// One manifest is in memory at a time: there may be a thousand.
    private static func earlier(
        _ reader: RecordReader,
        _ digests: [Digest],
        _ layout: MirrorLayout,
        besides known: [MirrorManifest.File]
    ) async throws -> [ObjectKey: MirrorManifest.File] {
        let places = Set(known.map(\.place))
        var earlier: [ObjectKey: MirrorManifest.File] = [:]
        for digest in digests {
            for manifest in try await reader.manifests([digest]) where manifest.layout == layout {
                for file in manifest.files where !places.contains(file.place) && earlier[file.place] == nil {
                    earlier[file.place] = file
                }
            }
        }
        return earlier
    }

    /// A place of another model may have other refs only.
    private static func refuseOthers(_ reader: RecordReader, than revision: SourceRevision) async throws {
        do {
            try await reader.others(than: revision.requested) { _, manifest in
                try refuseOther(manifest.source, than: revision, at: reader.target.sink.location)
                return false
            }
        } catch let error as SluiceError where error.code == .notAuthorised {
            // Who may read and write objects need not be allowed to list them.
        }
    }

    /// Another model's mirror is not added to. A renamed one keeps its identity.
    private static func refuseOther(
        _ kept: SourceRevision,
        than revision: SourceRevision,
        at place: String
    ) throws(SluiceError) {
        let isSame = kept.name == revision.name || kept.identity != nil && kept.identity == revision.identity
        guard kept.hub != revision.hub || kept.kind != revision.kind || !isSame else { return }
        throw SluiceError(
            .exists,
            object: place,
            "it is a mirror of \(Printable.text(kept.name)) (\(kept.hub), \(kept.kind)), and \(revision.name) "
                + "(\(revision.hub), \(revision.kind)) is another model",
            remedy: "mirror it to another place"
        )
    }

    /// Whether the target has this revision, whole or as far as it was selected: nothing is to be asked for.
    var isCurrent: Bool {
        // What was refused may have come right at the hub meanwhile.
        hasRevision && manifest?.leftOut.allSatisfy { rules.reason($0.path) != nil } ?? false
    }

    /// Whether the target has what a manifest of this revision and selection says.
    ///
    /// Of the same endpoint: what another one calls the same commit is compared with its own listing.
    var hasRevision: Bool {
        guard let manifest, manifest.source.resolved == revision.resolved, manifest.source.name == revision.name,
            manifest.source.endpoint == revision.endpoint, look.lost.isEmpty
        else { return false }
        return manifest.layout == layout && manifest.selection == rules.selection && cache?.isThere ?? true
    }

    /// Whether the manifest says already what a run of this plan would write.
    func says(_ plan: MirrorPlan) -> Bool {
        hasRevision && plan.moving.isEmpty && plan.leftOut == manifest?.leftOut
    }

    /// Whether nothing is to be done here.
    var isDone: Bool { isCurrent && !hasLeftovers }

    /// Whether an earlier manifest brought what the current one neither has nor leaves out.
    private var hasLeftovers: Bool {
        guard let manifest, !earlier.isEmpty else { return false }
        let stays = Set(manifest.files.map(\.path) + manifest.leftOut.map(\.path))
        return earlier.values.contains { !stays.contains($0.path) }
    }

    func plan(_ tree: SourceTree, twins: MirrorTwins) throws(SluiceError) -> MirrorPlan {
        try MirrorPlan(
            tree,
            previous: manifest,
            lost: look.lost,
            earlier: earlier,
            twins: twins,
            layout: layout,
            leavingOut: rules.reason
        ) { (file) throws(SluiceError) in
            if layout == .huggingFaceCache { return try HubCacheLayout.key(file) }
            return MirrorKeys.plain(file.path) { (try? target.sink.target($0)) != nil }
        }
    }

    /// A transfer of a file of the plan.
    func request(_ item: MirrorPlan.Item, host: String, _ session: any CommandSession) async throws -> TransferRequest {
        TransferRequest(
            source: item.file.location,
            target: try target.sink.target(item.key).location,
            settings: target.settings,
            overwrite: try await overwrite(item, session),
            host: host,
            size: item.file.size
        )
    }

    /// A transfer from where the same bytes are at this sink already.
    func copy(
        _ item: MirrorPlan.Item,
        of twin: MirrorTwin,
        _ sha256: Digest,
        _ session: any CommandSession
    ) async throws -> TransferRequest {
        let object = try session.source(try Resolver.location(twin.location)).object(ObjectKey(""))
        return TransferRequest(
            source: twin.location,
            target: try target.sink.target(item.key).location,
            settings: target.settings,
            overwrite: try await overwrite(item, session),
            expectedSHA256: sha256.hex,
            host: object.host,
            size: item.file.size
        )
    }

    /// Where the mirror is: a tree of a store is named after the revision unless the user names it.
    private static func location(
        _ location: Location,
        _ session: any CommandSession,
        _ revision: SourceRevision,
        _ rules: MirrorRules,
        named: Bool
    ) throws -> Location {
        if case .cas = location.kind, let path = location.localPath, try session.place(path).tree == nil {
            let kind = MirrorPlace.storeKinds[revision.hub]?[revision.kind] ?? revision.hub
            return try location.below("\(kind):\(revision.name)@\(revision.resolved)/")
        }
        // Revisions of one model lie beside one another.
        let below = rules.revisions.count > 1 ? "\(MirrorKeys.directory(revision.requested))/" : ""
        return try location.below((named ? "\(revision.name)/" : "") + below)
    }

    /// The kinds of trees (`TreePlace`) that the views of the store know.
    private static let storeKinds = [
        "hugging-face": ["models": "hf", "datasets": "hf-dataset", "spaces": "hf-space"],
        "modelscope": ["models": "modelscope"],
        "ollama": ["models": "ollama"],
    ]
}
