import SluiceBytes
import SluiceContentStore
import SluicePipeline
import Synchronization

/// A blob that is being written in the writer's own directory of a store.
final class CASSession: SinkSession {
    private enum Phase {
        case writing
        case added(StoredObject)
        case discarded
    }

    private let target: CASTarget
    private let place: CASTarget.Place
    private let writer: StoreWriter
    private let staged: StagedBlob
    private let plan: WritePlan
    private let isResumed: Bool
    private let phase = Mutex(Phase.writing)

    init(
        _ target: CASTarget,
        _ place: CASTarget.Place,
        _ writer: StoreWriter,
        _ staged: StagedBlob,
        _ plan: WritePlan,
        isResumed: Bool = false
    ) {
        self.target = target
        self.place = place
        self.writer = writer
        self.staged = staged
        self.plan = plan
        self.isResumed = isResumed
    }

    var record: [UInt8] { staged.record }

    /// None: the bytes of a file can change under us, so the runner reads them again.
    var confirmed: [PartReceipt] { [] }

    /// A store without room is met before the bytes are fetched, and not filled to its brim by what does not fit. A small
    /// file is written at once.
    func prepare() async throws {
        guard let size = plan.size, size > 1 << 20 else { return }
        do {
            try staged.reserve(size)
        } catch {
            if !isResumed, !error.retry.isAnotherTry { discard() }
            throw noRoom(error)
        }
    }

    func write(_ chunk: Chunk, at offset: UInt64) async throws {
        guard case .writing = phase.withLock({ $0 }) else {
            throw SluiceError(.internalFault, object: target.location, "bytes came after the end of the session")
        }
        do {
            try staged.write(chunk, at: offset)
        } catch {
            // On EIO what is in the file is in doubt.
            if error.retry == .restart { discard() }
            throw noRoom(error)
        }
    }

    func readBack(_ range: ByteRange, pool: BufferPool) async throws -> Chunk {
        let limit = Int(min(range.count, UInt64(BufferPool.chunkCapacity)))
        return try staged.read(at: range.lower, limit: limit, pool: pool)
    }

    func commit(_ request: CommitRequest) async throws -> StoredObject {
        switch phase.withLock({ $0 }) {
        case .added(let stored): return stored
        case .discarded:
            throw SluiceError(
                .fileSystem,
                object: target.location,
                "the staged file of this session is gone",
                retry: .restart
            )
        case .writing: break
        }
        guard let digest = request.sha256 else {
            throw SluiceError(.internalFault, object: target.location, "a blob without a digest")
        }
        let size = ByteCount(request.size)
        let arrived = ArrivedBlob(staged, digest: digest, size: size, expected: plan.expected, origin: plan.origin)
        let addition = TreeAddition(
            CASTarget.file(place.path, digest, size, plan),
            to: place.revision,
            arrived: arrived,
            overwrite: plan.overwrite,
            replaces: plan.replaces
        )
        do {
            let stored = target.stored(try await place.share.add(addition))
            phase.withLock { $0 = .added(stored) }
            // One that stays is void with its writer's lease.
            if let digest = plan.expected { try? writer.release(digest) }
            return stored
        } catch {
            if error.retry == .restart { discard() }
            throw noRoom(error)
        }
    }

    func abort() async { discard() }

    /// Removes the staged file, unless it was added. What cannot be removed is swept by a later collection.
    private func discard() {
        let wasWriting = phase.withLock { phase in
            guard case .writing = phase else { return false }
            phase = .discarded
            return true
        }
        guard wasWriting else { return }
        try? staged.discard()
    }

    private func noRoom(_ error: SluiceError) -> SluiceError { place.share.store.noRoom(error.needing(plan.size)) }
}
