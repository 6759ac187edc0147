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
        guard look.reaches(size) else { return nil }
        let memory = try await admit(look)
        defer { memory.release() }
        runner.phase(.moving)
        guard let whole = try await fetch(look, size) else { return nil }
        let request = CommitRequest(
            size: size,
            sha256: RunningDigest.hash(.sha256, of: [whole]),
            digests: context.digests.map { RunningDigest.hash($0, of: [whole]) },
            receipts: []
        )
        try await runner.verify(request, plan.expected, context)

        try context.drain.hold()
        defer { context.drain.letGo() }
        let session = try await write(whole)
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

    /// What is gathered, beside what a stream holds.
    static let memory = UInt64(BufferPool.chunkCapacity) + SequentialMover.memory(part: 0, isPositioned: true)

    private func admit(_ look: FirstLook) async throws -> MemoryReservation {
        if let admitted = look.takeMemory(WholeMover.memory) { return admitted }
        return try await context.resources.budget.reserve(WholeMover.memory)
    }

    /// The whole object, from the read that the first look began; nil if that brought too little, and ranges can take
    /// it up. Where they cannot, a new run has to ask anew.
    private func fetch(_ look: FirstLook, _ size: UInt64) async throws -> Chunk? {
        guard let first = look.takeStream(from: 0, to: size) else { return nil }
        defer { first.stream.cancel() }
        do {
            return try await gather(first.stream, size)
        } catch let error as SluiceError {
            let info = context.info
            guard info.supportsRanges, info.pin.isStrong || plan.expected != nil else { throw error }
            switch error.retry {
            case .backoff, .immediately, .after: return nil
            case .never, .restart, .park: throw error
            }
        }
    }

    /// Bytes that come in many small pieces are copied together: each piece holds a whole buffer.
    private func gather(_ stream: any ByteStream, _ size: UInt64) async throws -> Chunk {
        let arrived = SentCounter(context.meter)
        do {
            var whole = try await next(stream, arrived)
            if let first = whole, UInt64(first.count) < size {
                var builder = context.resources.pool.makeBuilder()
                whole = nil
                var piece: Chunk? = first
                while let bytes = piece {
                    _ = bytes.withBytes { builder.append($0) }
                    piece = nil
                    piece = try await next(stream, arrived)
                }
                whole = builder.freeze()
            } else {
                // Only the stream's own end proves that this was all.
                _ = try await next(stream, arrived)
            }
            guard let whole, arrived.total == size, UInt64(whole.count) == size else {
                throw SluiceError(.truncated, "\(arrived.total) bytes came of \(size)", retry: .backoff)
            }
            return whole
        } catch {
            context.meter.unsent(arrived.total)
            throw error
        }
    }

    private func next(_ stream: any ByteStream, _ arrived: SentCounter) async throws -> Chunk? {
        let chunk = try await stream.next()
        context.meter.received(chunk?.count ?? 0)
        if let chunk { arrived.add(chunk.count) }
        return chunk
    }

    /// Bytes under a temporary name.
    private func write(_ whole: Chunk) async throws -> any SinkSession {
        let session = try await context.retrying.run(host: context.target.host, object: context.target.location) {
            try await context.target.begin(plan)
        }
        do {
            try await session.write(whole, at: 0)
            context.meter.settle(UInt64(whole.count), alreadySent: UInt64(whole.count))
            return session
        } catch {
            await session.abort()
            throw error
        }
    }
}
