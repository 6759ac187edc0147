import SluiceBytes
import Synchronization

/// An object that has more origins than its source.
extension TransferRunner {
    /// From the first origin that answers, and anew from the next where an attempt cannot go on with it.
    func runWithAlternates() async throws -> TransferOutcome {
        let origins = AlternatingObject([first] + alternates, resources: allResources, transfer: claim.id)
        var runner = self
        runner.alternating = origins
        while true {
            do {
                var outcome = try await runner.attempt()
                outcome.alternates = outcome.moved > 0 ? origins.shares : []
                return outcome
            } catch let error as SluiceError {
                // What is wrong with the sink is that and nothing else.
                guard origins.note(error), !error.gaveSlotUp else { throw error }
                // The others were not heard: a later run asks them.
                if drain.isRequested, origins.mayStartOver { throw CancellationError() }
                guard !Task.isCancelled,
                    origins.startOver(after: error, wasShared: runner.member != nil)
                else { throw SluiceError.joined(origins.failures) ?? error }
                // The others need not wait for it.
                runner.member?.standAside()
                runner.member = nil
                resources.events.publish(
                    .warning(
                        "\(error.object ?? first.location): \(error.message); starting over from \(origins.location)"
                    ),
                    of: claim.id
                )
            }
        }
    }

    /// Tells the other origins which object it is, and how its bytes will be proven.
    func noteOrigins(_ info: ObjectInfo, _ expected: Digest?) throws {
        guard let alternating else { return }
        if member != nil { return alternating.opened(elsewhere: info) }
        alternating.expect(expected)
        guard alternating.hasStartedOver, expected == nil, info.publishedInstead == nil else { return }
        throw SluiceError(
            .unsupported,
            object: source.location,
            "nothing proves that it has the same bytes as the source: neither publishes a digest",
            remedy: "give the digest with --sha256"
        )
    }

    /// Bytes in parts that are not the published ones are compared with another origin's; what is wrong comes from there.
    func compared(
        _ moved: CommitRequest,
        _ opened: FirstLook,
        _ mover: PartMover,
        _ expected: Digest?
    ) async throws -> CommitRequest {
        let info = opened.info
        do {
            try verifyDigests(moved, expected, info, of: source.location)
            return moved
        } catch let error as SluiceError where error.code == .digestMismatch {
            guard let alternating, mover.context.hasAlternates, mover.plan.count > 1,
                mover.context.capabilities.shape != .ordered
            else { throw error }
            // Nobody may wait for memory while he holds some.
            opened.drop()
            let comparison = PartComparison(
                context: mover.context,
                session: mover.session,
                plan: mover.plan,
                alternating: alternating
            ) { try verifyDigests($0, expected, info, of: $1) }
            let receipts = Dictionary(moved.receipts.map { ($0.part.index, $0) }) { first, _ in first }
            let parts = PartComparison.Parts(receipts: receipts, sha256: mover.partDigests.withLock { $0 })
            return try await comparison.run(parts, after: error)
        }
    }
}
