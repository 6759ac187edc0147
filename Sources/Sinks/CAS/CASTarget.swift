import SluiceBytes
import SluiceContentStore
import SluicePipeline
import Synchronization

/// The place of one file in a tree of a content store.
final class CASTarget: SinkTarget {
    /// Of the file, through the store's root and the tree's name.
    let path: LocalPath
    let stores: OpenStores
    let time: any TimeSource
    /// Its place, once it was found.
    private let found = Mutex<Place?>(nil)

    init(path: LocalPath, stores: OpenStores, time: any TimeSource) {
        self.path = path
        self.stores = stores
        self.time = time
    }

    var location: String { "cas:\(path)" }
    var host: String { "cas" }
    var capabilities: SinkCapabilities { SinkCapabilities(shape: .positioned) }
    var knowsContent: Bool { true }

    /// Nil also where the tree has the path and the blob is gone: then it is to be brought again.
    func existing() async throws -> StoredObject? {
        let place = try place()
        guard let file = try place.share.tree(place.revision).file(place.path),
            try place.share.store.open(file.digest)?.size == file.size
        else { return nil }
        return stored(file)
    }

    /// By its name: what a disk made of its bytes only a scrub can tell.
    func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? {
        stored.recordedSHA256 == digest
    }

    func link(_ plan: WritePlan, willWait: @Sendable () -> Void) async throws -> StoredObject? {
        let place = try place()
        guard let digest = plan.expected else { return try await linkByOtherName(plan, place) }
        // Only a look: what adds it pins it, looks again, and again after that.
        if let size = try size(of: digest, plan, place) { return try await add(digest, size, plan, place) }
        if plan.isRecalled { return nil }
        let writer = try place.share.writer()
        // Before the question that decides: a collection must not take what somebody else brings meanwhile.
        try await place.share.pin(digest)
        try await FetchTurn(writer: writer, digest: digest, time: time).wait(willWait)
        guard let size = try size(of: digest, plan, place) else { return nil }
        try writer.release(digest)
        return try await add(digest, size, plan, place)
    }

    /// From the index of what trees noted, once it is worth its making. Whatever is wrong with it, a look at the source
    /// tells as much.
    func recall(_ info: ObjectInfo) async -> Digest? {
        guard let version = VersionNotes(info), let place = try? place() else { return nil }
        let found = await place.share.alternates?.askIfWorth { (index) throws(IndexDamage) in
            try version.lookup(in: index)
        }
        guard let (match, isPublished) = found, isPublished, match.size.bytes == info.size,
            let blob = try? place.share.store.open(match.digest), blob.size == match.size
        else { return nil }
        return match.digest
    }

    /// No SHA-256 is published, but the source has another name for its content, under which some tree got it. A digest
    /// is compared with the blob's own: what a publisher said once may not have been so.
    private func linkByOtherName(_ plan: WritePlan, _ place: Place) async throws -> StoredObject? {
        let version = VersionNotes(plan.info)
        let digests = plan.info.published.filter { Alternates.identifying.contains($0.algorithm) }
        if version == nil, digests.isEmpty { return nil }
        let found = await place.share.alternates?.ask { (index) throws(IndexDamage) in
            try Alternates.Found(digests, version, in: index)
        }
        for (digest, matches) in found?.digests ?? [] {
            for match in matches where plan.size == match.size.bytes {
                guard let blob = try await pinned(match, place),
                    try FileContent.digest(digest.algorithm, of: blob.file, pool: BufferPool(retained: 1)) == digest
                else { continue }
                return try await add(match.digest, match.size, plan, place)
            }
        }
        guard let match = found?.version, plan.size == match.size.bytes, try await pinned(match, place) != nil else {
            return nil
        }
        var recalled = plan
        recalled.isRecalled = true
        return try await add(match.digest, match.size, recalled, place)
    }

    /// The blob, kept from collections before it is looked for; nil if it is not there.
    private func pinned(_ match: AlternateIndex.Match, _ place: Place) async throws -> OpenBlob? {
        try await place.share.pin(match.digest)
        guard let blob = try place.share.store.open(match.digest), blob.size == match.size else { return nil }
        return blob
    }

    /// One that stays is void with its writer's lease.
    func giveBack(_ digest: Digest) async { try? place().share.writer().release(digest) }

    func begin(_ plan: WritePlan) async throws -> any SinkSession {
        let place = try place()
        let writer = try place.share.writer()
        do throws(SluiceError) {
            if let record = plan.resume, let taken = try writer.takeUp(record) {
                return CASSession(self, place, writer, taken, plan, isResumed: true)
            }
            let made: StagedBlob
            if let digest = plan.expected {
                made = try writer.stage(for: digest)
            } else {
                made = try writer.stage()
            }
            return CASSession(self, place, writer, made, plan)
        } catch {
            throw place.share.store.noRoom(error.needing(plan.size))
        }
    }

    func beginSharing(_ source: any SourceObject, _ plan: WritePlan) async throws -> (any SinkSession)? {
        guard let source = source as? any LocalFileObject else { return nil }
        let place = try place()
        let writer = try place.share.writer()
        let original = try source.openFile(plan.info)
        do {
            let device = place.share.store.device
            guard try place.share.clones.mayClone(original, to: device) else { return nil }
            let staged = try writer.stage()
            if try clone(original, into: staged) { return CASSession(self, place, writer, staged, plan) }
            try place.share.clones.refuse(original, to: device)
            return nil
        } catch let failure as SystemFailure {
            throw SluiceError(failure, "clone \(source.location)", object: location)
        }
    }

    /// Of what was not cloned nothing is left.
    private func clone(_ original: OwnedDescriptor, into staged: StagedBlob) throws -> Bool {
        do {
            if try staged.clone(original) { return true }
        } catch {
            try? staged.discard()
            throw error
        }
        try staged.discard()
        return false
    }

    // MARK: - Looking

    /// A file's place once its store was found.
    struct Place: Sendable {
        let share: StoreShare
        let revision: RevisionName
        let path: ObjectKey
    }

    private func place() throws(SluiceError) -> Place {
        if let known = found.withLock({ $0 }) { return known }
        let place = try locate()
        found.withLock { $0 = place }
        return place
    }

    private func locate() throws(SluiceError) -> Place {
        let (share, tree) = try CASSink.tree(stores.locate(path), location)
        guard !tree.path.bytes.isEmpty, !path.namesDirectory else {
            throw SluiceError(
                .unsafeName,
                object: location,
                "this names a tree, and a file belongs into one",
                remedy: "put the tree's name before the file's: cas:STORE/NAME/FILE"
            )
        }
        return Place(share: share, revision: try tree.revisionToWrite(in: share.store), path: tree.path)
    }

    /// The size of a blob that is there and not shorter or longer than the source says.
    private func size(of digest: Digest, _ plan: WritePlan, _ place: Place) throws(SluiceError) -> ByteCount? {
        guard let blob = try place.share.store.open(digest), plan.size == nil || plan.size == blob.size.bytes else {
            return nil
        }
        return blob.size
    }

    private func add(_ digest: Digest, _ size: ByteCount, _ plan: WritePlan, _ place: Place) async throws
        -> StoredObject
    {
        let file = CASTarget.file(place.path, digest, size, plan)
        let addition = TreeAddition(file, to: place.revision, overwrite: plan.overwrite, replaces: plan.replaces)
        var stored = stored(try await place.share.add(addition))
        stored.note = "the store has these bytes already, not fetched again"
        return stored
    }

    func stored(_ file: Manifest.File) -> StoredObject {
        StoredObject(
            location: location,
            size: file.size.bytes,
            fingerprint: file.fingerprint,
            recordedSHA256: file.digest
        )
    }

    /// Whether something can be fetched from there again: not from a pipe, from a store that may be this very one, or from
    /// a URL of which redaction left a part out.
    private static func isPlace(_ origin: String) -> Bool {
        !origin.isEmpty && origin != "-" && !origin.hasPrefix("cas:")
            && !(origin.contains("://") && origin.contains("?"))
    }

    /// The manifest's entry of a file: its digest, its other names, and where it can be fetched again. Of the version only
    /// what was read of it is noted: a digest that somebody demanded or published may be of other bytes.
    static func file(_ path: ObjectKey, _ digest: Digest, _ size: ByteCount, _ plan: WritePlan) -> Manifest.File {
        var alternates = plan.info.published.filter { $0.algorithm != .sha256 }.map(Alternates.name)
        if plan.isOneVersion || plan.isRecalled, let version = VersionNotes(plan.info) {
            let isPublished = plan.info.publishedSHA256 == digest && !plan.info.digestIsApart
            alternates.append(version.note(isPublished: isPublished))
        }
        return Manifest.File(
            path: path,
            size: size,
            digest: digest,
            alternates: alternates,
            sources: isPlace(plan.origin) ? [plan.origin] : []
        )
    }
}
