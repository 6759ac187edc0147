import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// A file that is being written under a temporary name.
final class FileSession: SinkSession {
    private enum Phase {
        case writing
        case published(StoredObject)
        case discarded
    }

    private let target: FileTarget
    private let temporary: FileTemporary
    private let plan: WritePlan
    private let isResumed: Bool
    private let pace = WriteBackPace()
    private let phase = Mutex(Phase.writing)

    init(target: FileTarget, temporary: FileTemporary, plan: WritePlan, isResumed: Bool = false) {
        self.target = target
        self.temporary = temporary
        self.plan = plan
        self.isResumed = isResumed
    }

    var record: [UInt8] { temporary.record }

    /// None: the bytes of a file can change under us, so the runner reads them again.
    var confirmed: [PartReceipt] { [] }

    // MARK: - Bytes

    /// Reserves room: a full disk is met before the bytes are fetched, and only once the journal knows what takes it.
    func prepare() async throws {
        // A small file is written at once; reserving would only cost a call.
        guard let size = plan.size, size > 1 << 20 else { return }
        do {
            try target.group.calls.reserve(temporary.file, size)
        } catch {
            let error = SluiceError(error, "reserve room for the file", object: target.location).needing(plan.size)
            // A fresh temporary holds nothing of worth; one that is resumed is kept for the next attempt.
            if !isResumed, !error.retry.isAnotherTry { discard() }
            throw error
        }
    }

    func write(_ chunk: Chunk, at offset: UInt64) async throws {
        guard case .writing = phase.withLock({ $0 }) else {
            throw SluiceError(.internalFault, object: target.location, "bytes came after the end of the session")
        }
        let (end, overflow) = offset.addingReportingOverflow(UInt64(chunk.count))
        guard !overflow, end <= plan.size ?? .max else {
            throw SluiceError(
                .internalFault,
                object: target.location,
                "bytes up to \(end) do not fit into \(plan.size ?? 0) bytes"
            )
        }
        do {
            try put(chunk, at: offset)
        } catch {
            throw writeError(error)
        }
    }

    private func put(_ chunk: Chunk, at offset: UInt64) throws(SystemFailure) {
        try chunk.withBytes { (bytes) throws(SystemFailure) in try temporary.file.write(bytes, at: offset) }
        if pace.isDue(after: chunk.count) { target.group.calls.startWriteBack(temporary.file) }
    }

    func readBack(_ range: ByteRange, pool: BufferPool) async throws -> Chunk {
        do {
            let limit = Int(min(range.count, UInt64(BufferPool.chunkCapacity)))
            return try FileContent.read(temporary.file, at: range.lower, limit: limit, pool: pool)
        } catch {
            throw SluiceError(error, "read back what was written", object: target.location, retry: .restart)
        }
    }

    /// Clones `original`, or copies it, and tells whether what then stands in the temporary has `digest`.
    func copy(from original: OwnedDescriptor, size: UInt64, digest: Digest) throws -> Bool {
        let pool = BufferPool(retained: 1)
        do {
            if try temporary.file.clone(from: original) {
                return try FileContent.digest(digest.algorithm, of: temporary.file, pool: pool) == digest
            }
            let running = RunningDigest(digest.algorithm, size: size)
            var offset: UInt64 = 0
            while offset < size {
                try Task.checkCancellation()
                let chunk = try FileContent.read(original, at: offset, limit: .max, pool: pool)
                if chunk.count == 0 { return false }
                running.update(chunk)
                try put(chunk, at: offset)
                offset += UInt64(chunk.count)
            }
            return running.finish() == digest
        } catch let failure as SystemFailure {
            throw writeError(failure)
        }
    }

    /// A full disk keeps what was written for the next attempt; on EIO the bytes are in doubt, so it starts over.
    private func writeError(_ failure: SystemFailure) -> SluiceError {
        if failure.number == EIO {
            discard()
            return SluiceError(failure, "write", object: target.location, retry: .restart)
        }
        return SluiceError(failure, "write", object: target.location).needing(plan.size)
    }

    // MARK: - The end

    func commit(_ request: CommitRequest) async throws -> StoredObject {
        switch phase.withLock({ $0 }) {
        case .published(let stored): return stored
        case .discarded:
            throw SluiceError(
                .fileSystem,
                object: target.location,
                "the temporary file of this session is gone",
                retry: .restart
            )
        case .writing: break
        }
        try requireComplete(request)
        do {
            let publication = Publication(
                location: target.location,
                file: temporary.file,
                directory: temporary.directory,
                publish: { [self] () throws(SluiceError) in try publish() }
            )
            try await target.group.publish(publication, size: request.size)
        } catch {
            if let stored = try await equalOccupant(error, request) { return finish(stored) }
            if error.retry == .restart || error.code == .noSpace { discard() }
            throw error
        }
        do {
            return finish(target.stored(try temporary.file.status()))
        } catch {
            throw SluiceError(error, "look at the finished file", object: target.location)
        }
    }

    func abort() async {
        discard()
    }

    private func requireComplete(_ request: CommitRequest) throws(SluiceError) {
        do {
            let size = try temporary.file.status().size
            guard size == request.size else {
                throw SluiceError(
                    .fileSystem,
                    object: target.location,
                    "the temporary file holds \(size) bytes where \(request.size) were written",
                    remedy: "another program changed it: run the command again",
                    retry: .restart
                )
            }
            try temporary.setFinishedMode()
        } catch let failure as SystemFailure {
            throw SluiceError(failure, "prepare the finished file", object: target.location)
        } catch let error as SluiceError {
            throw error
        } catch {
            throw SluiceError(.internalFault, object: target.location, "an unexpected failure", cause: "\(error)")
        }
    }

    /// Gives the file its final name. Called by whoever leads the sync group, with the bytes durable.
    private func publish() throws(SluiceError) {
        let occupant = try target.occupant(in: temporary.directory)
        if let occupant, FileIdentity(occupant) == temporary.identity { return }
        do {
            if plan.overwrite.mayReplace {
                try checkUnchanged(occupant)
                try temporary.replace(target.name.base)
            } else {
                try temporary.publishNew(target.name.base)
            }
        } catch let failure as SystemFailure {
            switch failure.number {
            case EEXIST: throw existsError(try target.occupant(in: temporary.directory))
            case ENOENT:
                throw SluiceError(
                    .fileSystem,
                    object: target.location,
                    "the temporary file was removed before it was published",
                    retry: .restart
                )
            default: throw SluiceError(failure, "publish the file", object: target.location)
            }
        } catch let error as SluiceError {
            throw error
        } catch {
            throw SluiceError(.internalFault, object: target.location, "an unexpected failure", cause: "\(error)")
        }
    }

    /// Only what was seen when the user's wish was weighed may be replaced.
    private func checkUnchanged(_ occupant: FileStatus?) throws(SluiceError) {
        guard let expected = plan.replaces, let occupant else { return }
        let found = target.stored(occupant).fingerprint
        guard found != expected else { return }
        throw SluiceError(
            .exists,
            object: target.location,
            "the file that was to be replaced changed meanwhile: inode:size:mtime:ctime was \(expected), is \(found)",
            remedy: "look at it, then run the command again"
        )
    }

    private func existsError(_ occupant: FileStatus?) -> SluiceError {
        let there = occupant.map { "a file of \($0.size) bytes" } ?? "something"
        let ours =
            switch plan.size {
            case nil: ""
            case occupant?.size: ", the new one has as many, and it is not known that they are the same"
            case .some(let size): ", the new one has \(size) bytes"
            }
        return SluiceError(
            .exists,
            object: target.location,
            "\(there) is there already\(ours)",
            remedy: "give --overwrite to replace it or --no-clobber to leave it"
        )
    }

    /// Another session may have published the same bytes, before or while this one wrote: that is success, once they
    /// are durable.
    private func equalOccupant(_ error: SluiceError, _ request: CommitRequest) async throws -> StoredObject? {
        guard error.code == .exists, !plan.overwrite.mayReplace, let sha256 = request.sha256,
            let stored = try? await target.existing(), stored.size == request.size,
            try await target.holds(sha256, in: stored, pool: BufferPool(retained: 1)) == true
        else { return nil }
        let file = try occupantFile(stored)
        let publication = Publication(
            location: target.location,
            file: file,
            directory: temporary.directory,
            publish: { () throws(SluiceError) in }
        )
        try await target.group.publish(publication, size: request.size)
        discard()
        return stored
    }

    private func occupantFile(_ stored: StoredObject) throws(SluiceError) -> OwnedDescriptor {
        let flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK
        do {
            let file = try OwnedDescriptor.open(target.name.base, in: temporary.directory, flags)
            if try target.stored(file.status()).fingerprint == stored.fingerprint { return file }
        } catch {
            throw SluiceError(error, "make the bytes that are there durable", object: target.location)
        }
        throw SluiceError(
            .exists,
            object: target.location,
            "the file that is there changed while it was compared",
            remedy: "look at it, then run the command again"
        )
    }

    private func finish(_ stored: StoredObject) -> StoredObject {
        phase.withLock { $0 = .published(stored) }
        return stored
    }

    /// Removes the temporary, unless it was published. What cannot be removed is left to `cleanup`.
    private func discard() {
        let wasWriting = phase.withLock { phase in
            guard case .writing = phase else { return false }
            phase = .discarded
            return true
        }
        if wasWriting { try? temporary.remove() }
    }
}
