import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

extension MirrorRun {
    /// In a store, the revision's name leads readers to the tree of what it stands for now: `hf:org/name` and
    /// `hf:org/name@v1.0` are read like any other. A tree that the user named himself is left alone.
    func point(at place: MirrorPlace) throws {
        let (requested, resolved) = (look.revision.requested, look.revision.resolved)
        let location = try Resolver.location(place.target.sink.location)
        guard requested != resolved, case .cas = location.kind, let path = location.localPath else { return }
        let found = try session.place(path)
        guard let tree = found.tree, tree.revision == resolved, tree.path.bytes.isEmpty else { return }
        let name = try RevisionName(kind: tree.kind, name: tree.name, revision: resolved)
        if try found.share.store.head(requested, kind: tree.kind, name: tree.name) == name { return }
        try found.share.writer().point(requested, to: name)
    }
}
