import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Mirrors below a place that is none itself: revisions beside one another, or models that share a directory.
struct MirrorSearch: Sendable {
    /// Where they are below the place, each with `/` at its end.
    private(set) var roots: [ObjectKey] = []
    /// Where it could not be looked.
    private(set) var errors: [SluiceError] = []

    /// Nothing if the place has refs of its own.
    init(_ session: any CommandSession, below location: Location) async throws {
        let location = try location.below("")
        guard try await FoundMirror.refs(below: location, session).isEmpty else { return }
        var found: Set<ObjectKey> = []
        do {
            for try await item in try session.source(location).list(recursive: true) {
                switch item {
                case .entry(let entry):
                    if !entry.isPrefix, let root = MirrorKeys.root(ofRef: entry.relativeKey) { found.insert(root) }
                // A link or a pipe is no mirror.
                case .skipped(let error): if error.code != .unsupported { errors.append(error) }
                }
            }
        } catch let error as SluiceError where error.code == .notFound {
            return
        }
        roots = found.sorted()
    }
}
