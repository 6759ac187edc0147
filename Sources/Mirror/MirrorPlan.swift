import SluiceBytes
import SluicePipeline

/// Why a file of a manifest counts for nothing at a sink.
package enum MirrorLoss: Sendable {
    /// Nothing has its place.
    case missing
    /// Something has its place that is not as the mirror brought it.
    case replaced
}

/// What is to be done at one sink so that it holds a revision: decided from two lists, without I/O.
package struct MirrorPlan: Sendable {
    /// What becomes of a file.
    package enum Action: String, Sendable, CaseIterable {
        /// It was not there.
        case new
        /// The mirror has another version of it.
        case changed
        /// The mirror has this very version: no request for it.
        case unchanged
        /// The mirror has it, and the revision does not.
        case gone
    }

    /// A file, and what becomes of it.
    package struct Item: Sendable {
        package let file: SourceTree.File
        package let key: ObjectKey
        package let action: Action
        /// Whether another revision has its bytes at the sink, or will have them before.
        package let isShared: Bool
        /// Whether something else than what the mirror brought has its place.
        package let isReplaced: Bool
        /// What a mirror left there is not what its manifest says: it comes again, and takes the place of what is there.
        package let isRenewed: Bool
        /// Most files have neither of both: large values, which are kept apart.
        private let known: Known?

        /// What the mirror has of that path.
        package var kept: MirrorManifest.File? { known?.kept }
        /// The same bytes somewhere else at the sink: they are taken from there, and not from the hub.
        package var twin: MirrorTwin? { known?.twin }

        fileprivate init(
            _ file: SourceTree.File,
            _ key: ObjectKey,
            _ action: Action,
            kept: MirrorManifest.File? = nil,
            twin: MirrorTwin? = nil,
            isShared: Bool = false,
            isReplaced: Bool = false,
            isRenewed: Bool = false
        ) {
            self.file = file
            self.key = key
            self.action = action
            self.isShared = isShared
            self.isReplaced = isReplaced
            self.isRenewed = isRenewed
            known = kept == nil && twin == nil ? nil : Known(kept, twin)
        }
    }

    private final class Known: Sendable {
        let kept: MirrorManifest.File?
        let twin: MirrorTwin?

        init(_ kept: MirrorManifest.File?, _ twin: MirrorTwin?) {
            self.kept = kept
            self.twin = twin
        }
    }

    /// What has to be moved or is there: those of little risk first (`order`).
    package private(set) var items: [Item]
    /// What the mirror has beside the revision.
    package let gone: [MirrorManifest.File]
    /// Whether the mirror has what the revision has too and is not selected.
    package let leavesUnselected: Bool
    /// What the revision has and the mirror will not.
    package let leftOut: [MirrorManifest.LeftOut]
    /// Whether all of the listing was understood: otherwise what is not in it is unknown, not gone.
    package let isWhole: Bool
    /// Whether the listing has no file at all.
    private let isEmpty: Bool
    /// Directories whose git names are published, and how many of these were made anew; only if something is gone.
    private let directories: (published: Int, proven: Int)

    /// Files up to this length come first: configuration, tokenizers and indices, without which nobody can use the rest.
    static let small: UInt64 = 16 << 20

    /// - Parameters:
    ///   - previous: what the sink's own manifest says that it holds; nil: nothing.
    ///   - lost: of its files those that are not there any more as the mirror brought them, by their paths.
    ///   - earlier: what manifests before that one brought and may still be there, by its keys.
    ///   - twins: what mirrors of other revisions hold at the sink.
    ///   - reason: why a file is left out; nil: it is not.
    ///   - key: where a file goes at the sink, below the mirror's place.
    package init(
        _ tree: SourceTree,
        previous: MirrorManifest?,
        lost: [ObjectKey: MirrorLoss] = [:],
        earlier: [ObjectKey: MirrorManifest.File] = [:],
        twins: MirrorTwins = MirrorTwins(),
        layout: MirrorLayout = .plain,
        leavingOut reason: (ObjectKey) -> String? = { _ in nil },
        key: (SourceTree.File) throws(SluiceError) -> ObjectKey
    ) throws(SluiceError) {
        let had = previous?.layout == layout ? previous?.files ?? [] : []
        let known = Dictionary(had.map { ($0.path, $0) }) { first, _ in first }
        var items: [Item] = []
        var leftOut = tree.refused.map { path, error in
            MirrorManifest.LeftOut(path: path, reason: reason(path) ?? error.message)
        }
        for file in tree.files {
            if let reason = reason(file.path) {
                leftOut.append(MirrorManifest.LeftOut(path: file.path, reason: reason))
                continue
            }
            let key = try key(file)
            let loss = lost[file.path]
            let kept = loss == .missing ? nil : known[file.path]
            if let kept, loss == nil, MirrorPlan.isSame(kept, file), kept.place == key {
                items.append(Item(file, key, .unchanged, kept: kept))
                continue
            }
            var twin = twins.twin(of: file)
            let isShared = twin != nil || twins.isPromised(file)
            if let there = twin, there.isHere, there.file.place == key {
                if there.proves(file) {
                    // Another name of the same commit, or of a blob that is there.
                    var same = there.file
                    same.path = file.path
                    same.key = key == file.path ? nil : key
                    items.append(Item(file, key, .unchanged, kept: same, isShared: true))
                    continue
                }
                // It is read again where it is.
                twin = nil
            }
            items.append(
                Item(
                    file,
                    key,
                    kept == nil ? .new : .changed,
                    kept: kept,
                    twin: twin,
                    isShared: isShared,
                    isReplaced: loss == .replaced
                )
            )
        }
        items.sort(by: MirrorPlan.order)
        self.items = items
        self.leftOut = leftOut.sorted { $0.path < $1.path }
        // What the revision has and was not selected this time is not gone.
        let stays = Set(tree.files.map(\.path))
        let places = Set(items.map(\.key))
        var gone: [ObjectKey: MirrorManifest.File] = [:]
        var leavesUnselected = false
        for file in [had, Array(earlier.values)].joined() where !places.contains(file.place) {
            if stays.contains(file.path) {
                leavesUnselected = true
            } else if gone[file.place] == nil {
                gone[file.place] = file
            }
        }
        self.gone = gone.values.sorted { $0.path < $1.path }
        self.leavesUnselected = leavesUnselected
        isWhole = tree.refused.isEmpty
        isEmpty = tree.files.isEmpty
        directories = gone.isEmpty ? (0, 0) : GitTree.proven(in: tree)
    }

    /// The plan once a look at the sink found some of what it counts on missing or damaged there.
    package func renewing(_ places: Set<ObjectKey>) -> MirrorPlan {
        var plan = self
        plan.items = items.map { item in
            guard places.contains(item.key) else { return item }
            let action: Action = item.action == .unchanged ? .changed : item.action
            return Item(item.file, item.key, action, kept: item.kept, isRenewed: true)
        }
        return plan
    }

    /// By what both publish: a length alone is not enough.
    static func isSame(_ kept: MirrorManifest.File, _ file: SourceTree.File) -> Bool {
        guard kept.size == file.size else { return false }
        if let sha256 = file.published.first(where: { $0.algorithm == .sha256 }) { return kept.sha256 == sha256 }
        return file.object != nil && kept.object == file.object && kept.evidence.contains(.gitObject)
    }

    /// Small files, then large ones, each by path: shards come in their order.
    private static func order(_ left: Item, _ right: Item) -> Bool {
        let (isLeftLarge, isRightLarge) = (left.file.size > small, right.file.size > small)
        return isLeftLarge == isRightLarge ? left.file.path < right.file.path : !isLeftLarge
    }

    /// How many files, and bytes that have to come, of an action.
    package func count(_ action: Action) -> (files: Int, bytes: UInt64) {
        if action == .gone { return (gone.count, gone.reduce(0) { $0.addingCapped($1.size) }) }
        var known: Set<ObjectKey> = []
        var (files, bytes) = (0, UInt64(0))
        for item in items where item.action == action {
            files += 1
            // A blob comes once, and what another revision has does not come at all.
            if known.insert(item.key).inserted, !item.isShared { bytes = bytes.addingCapped(item.file.size) }
        }
        return (files, bytes)
    }

    /// How many files, and their bytes, are taken from where another revision has them at the sink.
    package var shared: (files: Int, bytes: UInt64) {
        var (files, bytes) = (0, UInt64(0))
        for item in moving where item.isShared {
            files += 1
            bytes = bytes.addingCapped(item.file.size)
        }
        return (files, bytes)
    }

    /// What has to be moved.
    package var moving: LazyFilterSequence<[Item]> {
        items.lazy.filter { $0.action == .new || $0.action == .changed }
    }

    /// What may be deleted at the sink.
    ///
    /// - Parameter most: how many at once; nil: a tenth of what the mirror had, and ten in any case.
    /// - Throws: `.unconfirmed` after a listing that was not whole or is empty, and, unless `most` says otherwise, after one
    ///   that may be cut; `.limit` for more than that.
    package func deletions(most: Int? = nil) throws(SluiceError) -> [MirrorManifest.File] {
        guard isWhole else {
            throw SluiceError(
                .unconfirmed,
                "nothing is deleted: parts of the listing were refused, and what it does not name may be among them",
                remedy: "an error of its own names each; run the command again once the source lists them rightly"
            )
        }
        if gone.isEmpty { return [] }
        guard !isEmpty else {
            throw SluiceError(
                .unconfirmed,
                "nothing is deleted: the hub lists no file at all, and the mirror has \(gone.count)",
                remedy: "check the model at the hub; if it is empty, remove the mirror with sluice rm -r"
            )
        }
        guard most != nil || directories.proven == directories.published else {
            throw SluiceError(
                .unconfirmed,
                "nothing is deleted: of \(directories.published - directories.proven) of \(directories.published) "
                    + "directories the listing does not make the git names that are published, and may be cut",
                remedy: "see what would go, with -n; if that is meant, give --max-delete \(gone.count)"
            )
        }
        let had = gone.count + items.count { $0.kept != nil }
        let limit = most ?? max(10, had / 10)
        guard gone.count <= limit else {
            throw SluiceError(
                .limit,
                "nothing is deleted: \(gone.count) of \(had) files are gone at the source, and \(limit) may be deleted "
                    + "at once",
                remedy: "if that is meant, give --max-delete \(gone.count)"
            )
        }
        return gone
    }
}

extension UInt64 {
    /// The sum, or the largest number there is.
    fileprivate func addingCapped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
