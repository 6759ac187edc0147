import SluiceBytes

/// Copies an object within one server, part by part, every part pinned; no byte comes by here.
struct ServerCopyMover: Sendable {
    let context: MoveContext
    let copy: any ServerSideCopy
    let runner: TransferRunner

    func run(_ plan: WritePlan, _ earlier: JournalSnapshot?) async throws -> TransferOutcome {
        guard let size = context.info.size else {
            throw SluiceError(.internalFault, object: context.source.location, "a stored object has a length")
        }
        var plan = plan
        plan.isServerCopy = true
        let parts = PartPlan(size: size, partSize: plan.partSize)
        let session = try await runner.beginSession(plan, context.info, plan.partSize, isFresh: earlier == nil)
        do {
            runner.phase(.moving)
            let known = await session.confirmed.filter { $0.part == parts.part($0.part.index) }
            context.meter.settle(known.reduce(0) { $0 + $1.part.range.count })
            try context.drain.hold()
            defer { context.drain.letGo() }
            let receipts = try await copyMissing(parts, known, session)
            runner.phase(.committing)
            let request = CommitRequest(size: size, sha256: nil, receipts: receipts)
            return try await runner.verifyAndCommit(request, nil, context, session)
        } catch {
            await runner.discardIfUseless(error, session)
            throw error
        }
    }

    private func copyMissing(
        _ parts: PartPlan,
        _ known: [PartReceipt],
        _ session: any SinkSession
    ) async throws -> [PartReceipt] {
        let done = Set(known.map(\.part.index))
        var missing = (0..<parts.count).filter { !done.contains($0) }[...]
        return try await withThrowingTaskGroup(of: PartReceipt.self) { group in
            var receipts = known
            func startNext() {
                guard !context.drain.isRequested, let index = missing.popFirst() else { return }
                group.addTask { try await copyOne(parts.part(index), session, journals: parts.count > 1) }
            }
            for _ in 0..<context.limits.connections { startNext() }
            while let receipt = try await group.next() {
                receipts.append(receipt)
                startNext()
            }
            // Told to stop: what was copied is in the journal.
            guard receipts.count == parts.count else { throw CancellationError() }
            return receipts.sorted { $0.part.index < $1.part.index }
        }
    }

    private func copyOne(_ part: Part, _ session: any SinkSession, journals: Bool) async throws -> PartReceipt {
        let receipt = try await context.retrying.run(host: context.target.host, object: context.target.location) {
            try await copy.copy(part: part, session: session)
        }
        if journals {
            try await context.journal.record(receipt, digestState: nil, digestOffset: 0, hashedParts: [:])
        }
        context.meter.settle(part.range.count)
        return receipt
    }
}
