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
