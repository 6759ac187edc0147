import SluiceBytes
import SluiceMirror
import SluicePipeline

extension MirrorRun {
    /// Listing and manifest, then the ref: in the order of their dependence.
    func write(
        _ files: [MirrorManifest.File],
        _ plan: MirrorPlan,
        at place: MirrorPlace
    ) async throws -> MirrorManifest {
        let listing = try MirrorListing.encoded(tree, of: look.revision)
        let now = session.time.wallSeconds()
        let directories = GitTree.proven(in: tree)
        let manifest = MirrorManifest(
            source: look.revision,
            asked: look.source.location,
            listing: listing.withUnsafeBytes { SHA256.hash($0) },
            files: files,
            leftOut: plan.leftOut,
            provenDirectories: directories.proven,
            publishedDirectories: directories.published,
            layout: place.layout,
            selection: work.rules.selection,
            tool: "sluice \(Sluice.version)",
            written: now
        )
        let bytes = try manifest.encoded()
        let digest = bytes.withUnsafeBytes { SHA256.hash($0) }
        // Of killed runs that had copies of their records on this machine.
        ScratchFiles.removeAbandoned(try session.scratch())
        let writer = RecordWriter(session: session, target: place.target)
        try await writer.put(MirrorKeys.listing(manifest.listing), listing)
        try await writer.put(MirrorKeys.manifest(digest), bytes)
        let entry = MirrorRef.Entry(manifest: digest, revision: look.revision.resolved, since: now)
        let name = look.revision.requested
        try await changeRef(at: place) { ref in ref?.moved(to: entry) ?? MirrorRef(name: name, entry) }
        return manifest
    }

    /// Another mirror of the same place may change it meanwhile: what that one wrote stays in it.
    func changeRef(
        at place: MirrorPlace,
        _ change: @escaping @Sendable (MirrorRef?) -> MirrorRef?
    ) async throws {
        let key = MirrorKeys.ref(look.revision.requested)
        try await RecordWriter(session: session, target: place.target).replace(key, limit: MirrorRef.limit) { there in
            let ref = try there.map { try MirrorRef($0.bytes, $0.location) }
            let changed = change(ref)
            return changed == ref ? nil : try changed?.encoded()
        }
    }

    /// What failed in earlier runs on the way to a place that holds it by now has no more to say.
    ///
    /// What has stored parts keeps its row: `cleanup` knows by it whose upload that is.
    func settle(_ plan: MirrorPlan, at place: MirrorPlace) async throws {
        let queue = try await session.queue()
        var failed: [(id: TransferID, target: ObjectKey)] = []
        let root = ObjectKey(place.target.sink.location)
        for try await row in queue.list([.failed], of: nil) where row.done == 0 {
            let target = ObjectKey(row.target)
            if target.hasPrefix(root) { failed.append((row.id, target)) }
        }
        if failed.isEmpty { return }
        let held = Set(try plan.items.map { ObjectKey(try place.target.sink.target($0.key).location) })
        let records = ObjectKey(String(try place.target.sink.target(ObjectKey(".sluice/x")).location.dropLast(1)))
        let settled = failed.filter { held.contains($0.target) || $0.target.hasPrefix(records) }.map(\.id)
        if !settled.isEmpty { _ = try await queue.forget(.transfers(settled), isDryRun: false) }
    }

    /// The proof in a line, after all else.
    func tell(_ manifest: MirrorManifest, at place: MirrorPlace) {
        let bare = manifest.files.count { $0.evidence == [.transport] }
        let proven = manifest.files.count - bare
        var object = JSONObject()
        object.add("event", "mirrored")
        object.add("source", "\(look.location)")
        object.add("target", place.target.sink.location)
        object.add("revision", look.revision.resolved)
        object.add("published", UInt64(proven))
        object.add("transport", UInt64(bare))
        let refused = work.rules.refused(in: tree).count
        object.add("refused", UInt64(refused))
        let words =
            (bare == 0 ? "" : ", \(bare) by length and version only") + (refused == 0 ? "" : "; \(refused) refused")
        display.conclude(
            "proven  \(look.location) at \(look.revision.resolved.prefix(12)) in \(place.target.sink.location): "
                + "\(proven) files by published digests\(words)",
            object
        )
    }
}
