import SluiceBytes

/// Re-verifies what an earlier attempt left (DESIGN rule 3), and sets the hash up to go on from there.
struct Resume: Sendable {
    struct Result: Sendable {
        let frontier: DigestFrontier
        let receipts: [PartReceipt]
        let hashedParts: [Int: Digest]
    }

    let context: MoveContext
    let session: any SinkSession
    let plan: PartPlan
    let earlier: JournalSnapshot?

    func run() async throws -> Result {
        guard let earlier, !earlier.receipts.isEmpty || earlier.digestState != nil else { return fresh() }
        context.resources.events.publish(.phase(.verifying), of: context.transfer)
        return context.capabilities.shape == .positioned
            ? try await rereadFile(earlier) : try await takeUpParts(earlier)
    }

    private func fresh() -> Result { Result(frontier: frontier(), receipts: [], hashedParts: [:]) }

    private func frontier(_ hash: SHA256 = SHA256(), at position: UInt64 = 0) -> DigestFrontier {
        let isPositioned = context.capabilities.shape == .positioned
        return DigestFrontier(
            hash: hash,
            position: position,
            boundaryStep: isPositioned ? 0 : plan.partSize,
            end: plan.size,
            extras: context.digests
        ) { [session, pool = context.resources.pool] range in
            try await session.readBack(range, pool: pool)
        }
    }

    /// Bytes on a disk can change under us: every part that is reused is read and compared with its receipt.
    private func rereadFile(_ earlier: JournalSnapshot) async throws -> Result {
        let reservation = try await context.resources.budget.reserve(2 * UInt64(BufferPool.chunkCapacity))
        defer { reservation.release() }
        let frontier = frontier()
        var kept: [PartReceipt] = []
        for receipt in earlier.receipts where receipt.part == plan.part(receipt.part.index) {
            let digest = RunningDigest(.crc32c)
            var range = receipt.part.range
            while !range.isEmpty {
                let chunk = try await session.readBack(range, pool: context.resources.pool)
                guard chunk.count > 0 else { break }
                digest.update(chunk)
                range = ByteRange(range.lower + UInt64(chunk.count), range.upper)
            }
            guard range.isEmpty, digest.finish() == receipt.crc32c else { continue }
            kept.append(receipt)
            try await frontier.offer(.stored(receipt.part.range), at: receipt.part.range.lower)
        }
        return Result(frontier: frontier, receipts: kept, hashedParts: [:])
    }

    /// Parts at a server count if the server confirms them and the saved hash covers them; the rest comes again.
    private func takeUpParts(_ earlier: JournalSnapshot) async throws -> Result {
        guard context.digests.isEmpty, let state = earlier.digestState,
            let hash = SHA256(savedState: state), hash.count == earlier.digestOffset
        else { return fresh() }
        let confirmed = await Set(session.confirmed)
        let kept = earlier.receipts.filter { receipt in
            confirmed.contains(receipt) && receipt.part == plan.part(receipt.part.index)
                && receipt.part.range.upper <= earlier.digestOffset
        }
        // A part that is not confirmed any more comes again, and is compared with what was hashed.
        let receipts = earlier.receipts.filter { $0.part == plan.part($0.part.index) }
        let acknowledged = receipts.compactMap { receipt in receipt.crc32c.map { (receipt.part.index, $0) } }
        let crcs = earlier.hashedParts.merging(acknowledged) { old, _ in old }
        let hashed = crcs.filter { plan.part($0.key).range.upper <= earlier.digestOffset }
        let known = Set(hashed.keys).union(kept.map(\.part.index))
        // The hash covers a part of which nothing is known any more: it could not be recognised when it comes again.
        guard (0..<plan.count).allSatisfy({ plan.part($0).range.upper > earlier.digestOffset || known.contains($0) })
        else { return fresh() }
        return Result(
            frontier: frontier(hash, at: earlier.digestOffset),
            receipts: kept,
            hashedParts: hashed
        )
    }
}
