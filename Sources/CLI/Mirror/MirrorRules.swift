import SluiceBytes
import SluiceMirror
import SluicePipeline

/// The rules of one mirror.
struct MirrorRules: Sendable {
    /// Revisions by their names; empty: what the location names, or the hub's own choice.
    var revisions: [String] = []
    var filter = PatternFilter()
    /// The filter as text, for the manifest; empty without one.
    var selection = ""
    /// Other origins of the same tree.
    var alternates = AlternatePlaces()
    /// In directories; everywhere else files keep their paths.
    var layout = MirrorLayout.plain
    var overwrite = false
    var deletes = false
    var maxDelete: Int?
    /// Whether what is in the way is looked for beforehand (`-n`): else the transfers meet it.
    var looksForOthers = false
    /// Whether headers are looked at once files have arrived.
    var checksStructure = true
    /// `TransferSettings`, encoded.
    var settings = "{}"

    /// Why a file of the revision is not taken; nil if it is.
    func reason(_ path: ObjectKey) -> String? {
        filter.accepts(path) ? nil : "not selected (\(selection))"
    }

    /// What of a tree was refused and would be taken, in order of the paths.
    func refused(in tree: SourceTree) -> [SluiceError] {
        tree.refused.filter { reason($0.key) == nil }.sorted { $0.key < $1.key }.map(\.value)
    }

    /// How a target is laid out.
    func layout(at target: Location) -> MirrorLayout {
        if case .path = target.kind { return layout }
        return .plain
    }
}
