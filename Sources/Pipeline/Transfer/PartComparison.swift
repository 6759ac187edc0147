import Glibc
import SluiceBytes

/// Finds the parts that differ from another origin's, and writes those again from there: what became of an object in
/// parts whose digest is not the published one.
///
/// What comes out is proven anew: a file is read back whole; of an object at a server every part has the SHA-256 of the
/// alternate's, and the alternate's bytes have the digest of the whole.
struct PartComparison: Sendable {
    let context: MoveContext
    let session: any SinkSession
    let plan: PartPlan
    let alternating: AlternatingObject
    /// Throws `.digestMismatch` about an origin if these are not the published digests.
    let check: @Sendable (CommitRequest, String) throws -> Void

    /// What is at the sink, and the SHA-256 of each part as it was sent; of one that came in an earlier process nobody
    /// knows it.
    struct Parts: Sendable {
        var receipts: [Int: PartReceipt]
        var sha256: [Int: Digest]
    }

    /// Takes what is wrong from the first origin that has the published digest.
    ///
    /// - Throws: `mismatch`, if none has it; what else was found is noted.
    func run(_ parts: Parts, after mismatch: SluiceError) async throws -> CommitRequest {
        var parts = parts
        alternating.note(mismatch)
        for index in alternating.comparable() {
            let origin = alternating.origin(index)
            context.resources.events.publish(.phase(.verifying), of: context.transfer)
            do {
                let request = try await compare(index, &parts)
                try check(request, origin.location)
                return request
            } catch let error as SluiceError where error.object == origin.location && !Task.isCancelled {
                alternating.exclude(index, after: error)
            }
        }
        throw mismatch
    }

    private func compare(_ index: Int, _ parts: inout Parts) async throws -> CommitRequest {
        let origin = alternating.origin(index)
        let isPositioned = context.capabilities.shape == .positioned
        let memory = try await context.resources.budget.reserve(
            SequentialMover.memory(part: min(plan.partSize, plan.size), isPositioned: isPositioned)
        )
        defer { memory.release() }
        let info = try await context.retrying.run(host: origin.host, object: origin.location) {
            try await alternating.look(index, context.readOptions)
        }
        let reader = OriginReader(origin, info, size: plan.size, context)
        defer { reader.cancel() }
        let before = parts.receipts
        let request =
            isPositioned
            ? try await compareFile(reader, index, &parts) : try await compareParts(reader, index, &parts)
        try await context.retrying.run(host: origin.host, object: origin.location) {
            try await origin.confirmUnchanged(info)
        }
        let count = parts.receipts.count { before[$0.key] != $0.value }
        context.resources.events.publish(
            .warning("\(count) of \(plan.count) parts differ from those of \(origin.location), and came from there"),
            of: context.transfer
        )
        return request
    }

    /// Told to stop: what was written again is in the journal, and a later run compares anew.
    private func stopIfAsked() throws {
        if context.drain.isRequested { throw CancellationError() }
    }

    // MARK: - A file

    private func compareFile(_ reader: OriginReader, _ index: Int, _ parts: inout Parts) async throws -> CommitRequest {
        var offset: UInt64 = 0
        var changed: Set<Int> = []
        while let chunk = try await reader.next(upTo: plan.partSize - offset % plan.partSize) {
            try stopIfAsked()
            if try await !isThere(chunk, at: offset) {
                try await session.write(chunk, at: offset)
                alternating.replaced(UInt64(chunk.count), by: index)
                changed.insert(Int(offset / plan.partSize))
            }
            offset += UInt64(chunk.count)
        }
        for number in changed.sorted() {
            let receipt = try await context.receipt(ofFilePart: plan.part(number), in: session)
            try await context.journal.record(receipt, digestState: nil, digestOffset: 0, hashedParts: [:])
            parts.receipts[number] = receipt
        }
        let frontier = DigestFrontier(end: plan.size, extras: context.digests) { [session, context] range in
            try await session.readBack(range, pool: context.resources.pool)
        }
        try await frontier.offer(.stored(ByteRange(0, plan.size)), at: 0)
        let digests = frontier.finish()
        return request(parts, digests.sha256, digests.extras)
    }

    private func isThere(_ chunk: Chunk, at offset: UInt64) async throws -> Bool {
        var rest = chunk
        var at = offset
        while rest.count > 0 {
            let there = try await session.readBack(
                ByteRange(at, at + UInt64(rest.count)),
                pool: context.resources.pool
            )
            let count = min(there.count, rest.count)
            guard count > 0 else { return false }
            let isEqual = there.withBytes { left in
                rest.withBytes { right in
                    guard let left = left.baseAddress, let right = right.baseAddress else { return false }
                    return memcmp(left, right, count) == 0
                }
            }
            if !isEqual { return false }
            rest = rest.dropFirst(count)
            at += UInt64(count)
        }
        return true
    }

    // MARK: - Parts at a server

    private func compareParts(
        _ reader: OriginReader,
        _ index: Int,
        _ parts: inout Parts
    ) async throws -> CommitRequest {
        var hash = SHA256()
        let extras = context.digests.map { RunningDigest($0, size: plan.size) }
        for number in 0..<plan.count {
            try stopIfAsked()
            let part = plan.part(number)
            let chunks = try await gather(part, of: reader)
            for chunk in chunks {
                hash.update(chunk)
                for extra in extras { extra.update(chunk) }
            }
            let sha256 = RunningDigest.hash(.sha256, of: chunks)
            if parts.sha256[number] == sha256, parts.receipts[number] != nil { continue }
            let (crc, others) = context.digests(of: chunks)
            let receipt = try await context.upload(part, chunks, crc32c: crc, others: others, to: session)
            try await context.journal.record(receipt, digestState: nil, digestOffset: 0, hashedParts: [:])
            parts.receipts[number] = receipt
            parts.sha256[number] = sha256
            alternating.replaced(part.range.count, by: index)
        }
        return request(parts, hash.finalized(), extras.map { $0.finish() })
    }

    private func gather(_ part: Part, of reader: OriginReader) async throws -> [Chunk] {
        var chunks: [Chunk] = []
        var missing = part.range.count
        while missing > 0, let chunk = try await reader.next(upTo: missing) {
            chunks.append(chunk)
            missing -= UInt64(chunk.count)
        }
        return chunks
    }

    private func request(_ parts: Parts, _ sha256: Digest, _ extras: [Digest]) -> CommitRequest {
        CommitRequest(
            size: plan.size,
            sha256: sha256,
            digests: extras,
            receipts: parts.receipts.values.sorted { $0.part.index < $1.part.index }
        )
    }
}
