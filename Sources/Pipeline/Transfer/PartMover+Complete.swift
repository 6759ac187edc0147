import SluiceBytes
import Synchronization

/// What happens to a part whose last byte came: the sink has it, the hash has passed it, the journal holds its receipt.
extension PartMover {
    func complete(_ assembly: PartAssembly) async throws {
        let part = assembly.part
        let receipt = isPositioned ? try await receiptOfFile(assembly) : try await upload(assembly)
        assemblies.withLock { _ = $0.removeValue(forKey: part.index) }
        try await journalled(receipt)
        // The receipt in the journal holds the CRC from now on.
        fetchedCRCs.withLock { _ = $0.removeValue(forKey: part.index) }
        receipts.withLock { $0[part.index] = receipt }
        board.withLock { $0.complete(part) }
        let reservation = assembly.takeReservation()
        // The sink sends a single part only at commit, so its memory stays in use until then.
        if plan.count == 1, !isPositioned, let reservation { held.withLock { $0.append(reservation) } }
    }

    private func receiptOfFile(_ assembly: PartAssembly) async throws -> PartReceipt {
        if let crc = assembly.sequentialCRC { return PartReceipt(part: assembly.part, tag: "", crc32c: crc) }
        return try await context.receipt(ofFilePart: assembly.part, in: session)
    }

    private func upload(_ assembly: PartAssembly) async throws -> PartReceipt {
        let part = assembly.part
        let chunks = assembly.orderedChunks
        let crc = fetchedCRCs.withLock { $0[part.index] } ?? RunningDigest.hash(.crc32c, of: chunks)
        let others = context.capabilities.partDigests.subtracting([.crc32c])
        if context.capabilities.shape == .ordered { try await order.wait(for: part.index) }
        let receipt = try await context.upload(
            part,
            chunks,
            crc32c: crc,
            others: others.map { RunningDigest.hash($0, of: chunks) },
            to: session
        )
        if context.capabilities.shape == .ordered { order.advance(past: part.index) }
        if context.hasAlternates {
            let sha256 = RunningDigest.hash(.sha256, of: chunks)
            partDigests.withLock { $0[part.index] = sha256 }
        }
        // Bytes that are not hashed yet must stay in memory, and a receipt without its hash would be of no use.
        try await frontier.wait(until: part.range.upper)
        return receipt
    }

    /// Writes the receipt with the running hash at the newest part boundary whose parts are all known by their CRC:
    /// a part that the saved hash covers is recognised when it is fetched again.
    private func journalled(_ receipt: PartReceipt) async throws {
        guard plan.count > 1, context.capabilities.shape != .ordered else { return }
        guard !isPositioned else {
            return try await context.journal.record(receipt, digestState: nil, digestOffset: 0, hashedParts: [:])
        }
        let boundary = frontier.savedBoundary
        let hashed = fetchedCRCs.withLock { crcs in
            crcs.filter { plan.part($0.key).range.upper <= boundary.offset }
        }
        try await context.journal.record(
            receipt,
            digestState: boundary.state,
            digestOffset: boundary.offset,
            hashedParts: hashed
        )
    }
}
