import SluiceBytes
import SluiceMirror
import SluicePipeline

/// What of a cache's blobs a new snapshot would be linked to as they are: read again before, since a blob that rotted
/// since an earlier revision brought it is not the file that the hub publishes.
struct CacheBlobs: Sendable {
    private let session: any CommandSession
    private let place: MirrorPlace
    private let display: TransferDisplay?

    init(_ session: any CommandSession, _ place: MirrorPlace, _ display: TransferDisplay? = nil) {
        self.session = session
        self.place = place
        self.display = display
    }

    private struct Blob: Sendable {
        let key: ObjectKey
        let content: KnownContent
        /// Whether a manifest says that it is there; otherwise only the state file may.
        let isOwn: Bool
    }

    /// The plan, in which what is missing or damaged comes again.
    ///
    /// Of no use once the session was stopped: not every blob was looked at.
    ///
    /// - Parameter reading: whether every byte is read; else lengths are compared.
    func checked(_ plan: MirrorPlan, reading: Bool) async throws -> MirrorPlan {
        guard place.layout == .huggingFaceCache else { return plan }
        let local = try LocalRecords(session, place.target.location)
        var damaged: Set<ObjectKey> = []
        defer { display?.show(status: nil) }
        try await sideBySide(
            CacheBlobs.reused(plan),
            width: 4,
            isStopped: { session.isStopped },
            { blob in try await isSound(blob, local, reading: reading) ? nil : blob.key },
            take: { if let key = $0 { damaged.insert(key) } }
        )
        if !damaged.isEmpty {
            display?.say("\(damaged.count) blobs of earlier revisions are missing or damaged, and come again")
        }
        return plan.renewing(damaged)
    }

    /// Each blob once. One that is taken from another revision of this run was proven in it.
    private static func reused(_ plan: MirrorPlan) -> [Blob] {
        var known: Set<ObjectKey> = []
        return plan.items.compactMap { item in
            guard item.twin == nil, known.insert(item.key).inserted else { return nil }
            if item.action == .unchanged, let kept = item.kept {
                return Blob(key: item.key, content: kept.content, isOwn: true)
            }
            guard let sha256 = item.file.published.first(where: { $0.algorithm == .sha256 }) else { return nil }
            return Blob(key: item.key, content: KnownContent(size: item.file.size, digests: [sha256]), isOwn: false)
        }
    }

    /// What nobody vouches for is compared by its transfer.
    private func isSound(_ blob: Blob, _ local: LocalRecords?, reading: Bool) async throws -> Bool {
        if !blob.isOwn {
            guard let local, try await local.brought(blob.content.digests[0], to: blob.key) else { return true }
        }
        guard let there = try await place.target.sink.target(blob.key).existing() else { return !blob.isOwn }
        guard there.size == blob.content.size else { return false }
        guard reading else { return true }
        display?.show(status: "comparing blobs of earlier revisions")
        let object = try session.source(place.target.location).object(blob.key)
        do {
            let found = try await ContentReader(resources: session.resources)
                .read(object, blob.content.digests.map(\.algorithm), expecting: blob.content.size)
            let bytes = KnownContent(size: found.info.size, digests: found.digests)
            return blob.content.compared(with: bytes) == .same
        } catch let error as SluiceError where [.fileSystem, .notFound, .interrupted].contains(error.code) {
            // The disk refuses to read it: it comes again.
            return false
        }
    }
}
