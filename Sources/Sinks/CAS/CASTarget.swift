import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// The place of one file in a tree of a content store.
struct CASTarget: SinkTarget {
    /// Of the file, through the store's root and the tree's name.
    let path: LocalPath
    let stores: OpenStores
    let time: any TimeSource

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

    func adopt(_ stored: StoredObject, digest: Digest, overwrite: OverwritePolicy) async throws -> StoredObject? {
        let info = ObjectInfo(
            size: stored.size,
            pin: .weak(size: stored.size, modified: nil),
            published: [digest],
            supportsRanges: true
        )
        let replaces = try await existing()?.fingerprint
        return try await link(
            WritePlan(
                size: stored.size,
                partSize: 0,
                info: info,
                origin: stored.location,
                expected: digest,
                overwrite: overwrite,
                replaces: replaces
            ),
            willWait: {}
        )
    }

    func link(_ plan: WritePlan, willWait: @Sendable () -> Void) async throws -> StoredObject? {
        let place = try place()
        guard let digest = plan.expected else { return try await linkByOtherName(plan, place) }
        let writer = try place.share.writer()
        // Before the question whether it is there: a collection must not take it meanwhile.
        try writer.pin([digest])
        if let size = try size(of: digest, plan, place) { return try await add(digest, size, plan, place) }
        try await FetchTurn(writer: writer, digest: digest, time: time).wait(willWait)
        guard let size = try size(of: digest, plan, place) else { return nil }
        try writer.release(digest)
        return try await add(digest, size, plan, place)
    }

    /// No SHA-256 is published, but the source has another name for its content, under which some tree got it.
    private func linkByOtherName(_ plan: WritePlan, _ place: Place) async throws -> StoredObject? {
        for alternate in Alternates.of(plan.info, at: plan.origin) where alternate.identifies {
            for match in try place.share.known(kind: alternate.name.kind, value: alternate.name.value)
            where plan.size == match.size.bytes {
                try place.share.writer().pin([match.digest])
                guard let size = try size(of: match.digest, plan, place) else { continue }
                return try await add(match.digest, size, plan, place)
            }
        }
        return nil
    }

    func begin(_ plan: WritePlan) async throws -> any SinkSession {
        let place = try place()
        let writer = try place.share.writer()
        let staged: StagedBlob
        if let record = plan.resume, let taken = try writer.takeUp(record) {
            staged = taken
        } else {
            staged =
                try plan.expected.map { (digest) throws(SluiceError) in try writer.stage(for: digest) }
                ?? writer.stage()
        }
        return CASSession(target: self, place: place, writer: writer, staged: staged, plan: plan)
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
            let session = CASSession(target: self, place: place, writer: writer, staged: staged, plan: plan)
            if try staged.clone(original) { return session }
            await session.abort()
            try place.share.clones.refuse(original, to: device)
            return nil
        } catch let failure as SystemFailure {
            throw SluiceError(failure, "clone \(source.location)", object: location)
        }
    }

    // MARK: - Looking

    /// A file's place once its store was found.
    struct Place: Sendable {
        let share: StoreShare
        let revision: RevisionName
        let path: ObjectKey
    }

    private func place() throws(SluiceError) -> Place {
        let (share, tree) = try CASSink.tree(stores.locate(path), location)
        guard !tree.path.bytes.isEmpty, !path.namesDirectory else {
            throw SluiceError(.unsafeName, object: location, "a tree cannot hold the bytes of an object")
        }
        return Place(share: share, revision: try tree.revisionToWrite(), path: tree.path)
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

    /// The manifest's entry of a file: its digest, its other names, and where it can be fetched again.
    static func file(_ path: ObjectKey, _ digest: Digest, _ size: ByteCount, _ plan: WritePlan) -> Manifest.File {
        Manifest.File(
            path: path,
            size: size,
            digest: digest,
            alternates: Alternates.of(plan.info, at: plan.origin).map(\.name),
            sources: plan.origin.isEmpty || plan.origin == "-" ? [] : [plan.origin]
        )
    }
}

/// The names that a source has for content, beside its SHA-256.
enum Alternates {
    struct Alternate {
        let name: Manifest.Alternate
        /// Whether two objects of that name and one length are the same content, as far as the source's authority says.
        /// A CRC is none: it is made to find accidents, not to name content.
        let identifies: Bool
    }

    /// - Parameter origin: the source's location; a strong entity tag names a version of what is there, and of nothing
    ///   else. With a query left out of it, it may stand for several objects.
    static func of(_ info: ObjectInfo, at origin: String) -> [Alternate] {
        var alternates = info.published.filter { $0.algorithm != .sha256 }.map { digest in
            Alternate(
                name: Manifest.Alternate(kind: digest.algorithm.rawValue, value: digest.hex),
                identifies: digest.algorithm == .md5 || digest.algorithm == .sha1
            )
        }
        if case .etag(let tag, _) = info.pin, tag.utf8.count <= 256, origin.contains("://"), !origin.contains("?") {
            let name = Manifest.Alternate(kind: "etag", value: "\(Printable.text(tag)) \(origin)")
            alternates.append(Alternate(name: name, identifies: true))
        }
        return alternates
    }
}
