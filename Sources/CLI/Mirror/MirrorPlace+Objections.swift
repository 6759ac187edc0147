import SluiceBytes
import SluiceMirror
import SluicePipeline

/// What of a place is somebody else's, and stays unless the user says otherwise.
extension MirrorPlace {
    /// What the mirror brought it may replace, if that still is there when the transfer begins; what somebody else put
    /// there it may not. A blob is what its name says.
    func overwrite(_ item: MirrorPlan.Item, _ session: any CommandSession) async throws -> OverwritePolicy {
        if item.isRenewed { return .renew }
        if rules.overwrite { return .overwrite }
        guard layout == .plain, item.action == .changed, let kept = item.kept else { return .refuse }
        guard item.isReplaced else { return kept.stored.map { .replace($0) } ?? .overwrite }
        // A copied or touched file has other times, and may have the bytes that were brought all the same.
        let target = try self.target.sink.target(item.key)
        guard let there = try? await PlaceLook.existing(target, session), there.size == kept.size,
            try await target.holds(kept.sha256, in: there, pool: session.pool) == true
        else { return .refuse }
        return .replace(there.fingerprint)
    }

    /// What a run would end with at this place because of what is there; no byte of the hub's is read for it.
    func objections(_ plan: MirrorPlan, _ session: any CommandSession) async throws -> [SluiceError] {
        var objections: [SluiceError] = []
        for item in plan.moving where look.mayHold(item.key, of: item.file.path) {
            guard try await overwrite(item, session) == .refuse else { continue }
            if let objection = try await objection(to: item, session) { objections.append(objection) }
        }
        return objections
    }

    private func objection(to item: MirrorPlan.Item, _ session: any CommandSession) async throws -> SluiceError? {
        let target = try self.target.sink.target(item.key)
        let there: StoredObject?
        do {
            there = try await PlaceLook.existing(target, session)
        } catch let error as SluiceError {
            return error.about(target.location)
        }
        guard let there else { return nil }
        if there.size == item.file.size {
            // What cannot be told without its bytes is left to the run.
            guard let digest = item.file.published.first,
                try await target.holds(digest, in: there, pool: session.pool) == false
            else { return nil }
        }
        let wanted = item.file.published.first { $0.algorithm == .sha256 }.map { "; \($0) is wanted" } ?? ""
        return SluiceError(
            .exists,
            object: target.location,
            "something else is there already (\(there.size) bytes; the source has \(item.file.size)\(wanted))",
            remedy: MirrorPlace.remedy
        )
    }

    /// For what is in the way.
    static let remedy = "give --overwrite to replace it, or mirror to another place"

    /// A file that is to go, and why it stays all the same.
    struct Deletion: Sendable {
        let entry: SourceEntry
        /// Nil: it goes.
        let objection: SluiceError?
    }

    /// Looks at what the revision does not have: a manifest is only a file, and what it names may be somebody else's by
    /// now, or another ref's as well.
    func deletions(_ gone: [MirrorManifest.File], _ session: any CommandSession) async throws -> [Deletion] {
        let holders = try await holders(of: gone, session)
        var deletions: [Deletion] = []
        for file in gone {
            let target = try self.target.sink.target(file.place)
            let entry = SourceEntry(
                relativeKey: file.place,
                baseName: file.place.lastComponent,
                size: file.size,
                location: target.location
            )
            let objection =
                if let holder = holders[file.place] {
                    MirrorPlace.objection(target.location, heldBy: holder)
                } else {
                    try await objection(toDeleting: file, target, session)
                }
            deletions.append(Deletion(entry: entry, objection: objection))
        }
        return deletions
    }

    /// Refs of the place whose manifests have some of it with the same bytes, by keys.
    private func holders(
        of gone: [MirrorManifest.File],
        _ session: any CommandSession
    ) async throws -> [ObjectKey: String] {
        guard let ref, !gone.isEmpty else { return [:] }
        let wanted = Dictionary(gone.map { ($0.place, $0.sha256) }) { first, _ in first }
        var holders: [ObjectKey: String] = [:]
        try await RecordReader(session: session, target: target).others(than: ref.name) { other, manifest in
            for file in manifest.files where wanted[file.place] == file.sha256 { holders[file.place] = other.name }
            return true
        }
        return holders
    }

    private static func objection(_ location: String, heldBy ref: String) -> SluiceError {
        SluiceError(
            .exists,
            object: location,
            "it is not deleted: the mirror's ref \(Printable.text(ref)) has it too",
            remedy: "mirror each revision to a place of its own, or remove that ref's file (\(MirrorKeys.ref(ref)))"
        )
    }

    private func objection(
        toDeleting file: MirrorManifest.File,
        _ target: any SinkTarget,
        _ session: any CommandSession
    ) async throws -> SluiceError? {
        if let objection = file.objection {
            return SluiceError(.badAnswer, object: target.location, "it is not deleted: \(objection)")
        }
        let there: StoredObject?
        do {
            there = try await PlaceLook.existing(target, session)
        } catch let error as SluiceError {
            return error.about(target.location)
        }
        guard let there, there.fingerprint != file.stored else { return nil }
        return SluiceError(
            .exists,
            object: target.location,
            "it is not deleted: somebody wrote it since the mirror brought it (\(there.size) bytes; \(file.size) then)",
            remedy: "remove it yourself if it may go"
        )
    }
}
