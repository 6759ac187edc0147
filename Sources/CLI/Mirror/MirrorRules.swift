import SluiceBytes
import SluiceMirror
import SluicePipeline

/// The rules of one mirror.
struct MirrorRules: Sendable {
    var revision: String?
    var filter = PatternFilter()
    /// The filter as text, for the manifest; empty without one.
    var selection = ""
    var layout = MirrorLayout.plain
    var overwrite = false
    var deletes = false
    var maxDelete: Int?
    /// `TransferSettings`, encoded.
    var settings = "{}"

    /// Why a file of the revision is not taken; nil if it is.
    func reason(_ path: ObjectKey) -> String? {
        filter.accepts(path) ? nil : "not selected (\(selection))"
    }
}
