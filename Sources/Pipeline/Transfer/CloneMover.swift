import SluiceBytes

/// Moves an object whose bytes the file system shares with the source already: they are read once, to be hashed.
struct CloneMover {
    let context: MoveContext
    let plan: WritePlan
    let runner: TransferRunner

    func run(_ session: any SinkSession, size: UInt64) async throws -> TransferOutcome {
        do {
            let request = try await hash(session, size)
            try await runner.verify(request, plan.expected, context)
            try context.drain.hold()
            defer { context.drain.letGo() }
            runner.phase(.committing)
            try await context.journal.begin(
                pin: context.info.pin,
                size: size,
                partSize: plan.partSize,
                session: session.record,
                sha256: request.sha256
            )
            return try await runner.commit(request, plan.expected, context, session)
        } catch {
            // A clone costs nothing: a later run makes another.
            await session.abort()
            throw error
        }
    }

    private func hash(_ session: any SinkSession, _ size: UInt64) async throws -> CommitRequest {
        let memory = try await context.resources.budget.reserve(2 * UInt64(BufferPool.chunkCapacity))
        defer { memory.release() }
        runner.phase(.moving)
        var sha256 = SHA256()
        let extras = context.digests.map { RunningDigest($0, size: size) }
        var offset: UInt64 = 0
        while offset < size {
            try Task.checkCancellation()
            let chunk = try await session.readBack(ByteRange(offset, size), pool: context.resources.pool)
            if chunk.count == 0 { break }
            sha256.update(chunk)
            for extra in extras { extra.update(chunk) }
            offset += UInt64(chunk.count)
            context.meter.settle(UInt64(chunk.count))
        }
        return CommitRequest(
            size: offset,
            sha256: sha256.finalized(),
            digests: extras.map { $0.finish() },
            receipts: []
        )
    }
}
