import SluiceBytes

/// Moves an object that is small enough to be held whole: it is in memory, hashed and compared, before the sink is
/// asked for anything. So the journal is written once, with the intent to publish, and not for every step.
struct WholeMover {
    let context: MoveContext
    let plan: WritePlan
    let runner: TransferRunner

    /// Whether the object goes this way: a file of at most one chunk, of which no earlier attempt left anything.
    ///
    /// An empty object has no bytes to hold. A sink that takes parts journals its own intents: an upload, a token.
    static func suits(_ plan: WritePlan, _ capabilities: SinkCapabilities) -> Bool {
        guard let size = plan.size, capabilities.shape == .positioned, plan.resume == nil else { return false }
        return size > 0 && size <= UInt64(BufferPool.chunkCapacity)
    }

    /// Moves it; nil if its bytes did not come whole: then ranges, which are taken up where they broke off, are better.
    func run(_ look: FirstLook, size: UInt64) async throws -> TransferOutcome? {
        let memory = try await admit(look)
        defer { memory.release() }
        runner.phase(.moving)
        guard let chunks = try await fetch(look, size) else { return nil }
        let request = CommitRequest(
            size: size,
            sha256: RunningDigest.hash(.sha256, of: chunks),
            digests: context.capabilities.objectDigests.map { RunningDigest.hash($0, of: chunks) },
            receipts: []
        )
        try await runner.verify(request, plan.expected, context)

        try context.drain.hold()
        defer { context.drain.letGo() }
        let session = try await write(chunks)
        runner.phase(.committing)
        do {
            try await context.journal.begin(
                pin: context.info.pin,
                size: size,
                partSize: plan.partSize,
                session: session.record,
                sha256: request.sha256
            )
        } catch {
            // The journal does not know of the session, so no later run would take it up.
            await session.abort()
            throw error
        }
        do {
            return try await runner.commit(request, plan.expected, context, session)
        } catch {
            await runner.discardIfUseless(error, session)
            throw error
        }
    }

    private func admit(_ look: FirstLook) async throws -> MemoryReservation {
        let bytes = SequentialMover.memory(part: 0, isPositioned: true)
        if let admitted = look.takeMemory(bytes) { return admitted }
        return try await context.resources.budget.reserve(bytes)
    }

    /// The whole object, from the read that the first look began, or from a read of its own.
    private func fetch(_ look: FirstLook, _ size: UInt64) async throws -> [Chunk]? {
        do {
            let stream: any ByteStream
            if let first = look.takeStream(from: 0, to: size) {
                stream = first.stream
            } else {
                look.drop()
                let range = ByteRange(0, size)
                stream = try await context.source.read(range, of: context.info, options: context.readOptions)
            }
            defer { stream.cancel() }
            return try await gather(stream, size)
        } catch let error as SluiceError where error.retry == .backoff || error.retry == .immediately {
            return nil
        }
    }

    /// A source's stream ends after the length that was asked for, or throws.
    private func gather(_ stream: any ByteStream, _ size: UInt64) async throws -> [Chunk] {
        var chunks: [Chunk] = []
        let arrived = SentCounter(context.meter)
        do {
            while let chunk = try await stream.next() {
                context.meter.received(chunk.count)
                arrived.add(chunk.count)
                chunks.append(chunk)
            }
            guard arrived.total == size else {
                throw SluiceError(.truncated, "\(arrived.total) bytes came of \(size)", retry: .backoff)
            }
            return chunks
        } catch {
            context.meter.unsent(arrived.total)
            throw error
        }
    }

    /// Bytes under a temporary name.
    private func write(_ chunks: [Chunk]) async throws -> any SinkSession {
        let session = try await context.retrying.run(host: context.target.host, object: context.target.location) {
            try await context.target.begin(plan)
        }
        do {
            var offset: UInt64 = 0
            for chunk in chunks {
                try await session.write(chunk, at: offset)
                offset += UInt64(chunk.count)
                context.meter.settle(UInt64(chunk.count), alreadySent: UInt64(chunk.count))
            }
            return session
        } catch {
            await session.abort()
            throw error
        }
    }
}
