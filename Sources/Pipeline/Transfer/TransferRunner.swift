// This file is the main path: one object from one source to one sink, from the first look to the proof.
//
//   open ─▶ decide ─▶ begin ─▶ move (fetch → throttle → hash → sink) ─▶ verify ─▶ commit ─▶ proof
//
// It reads from the top down. What moves the bytes is in WholeMover (small files), PartMover (ranges, several lanes),
// SequentialMover (one stream), CloneMover (the file system shares them) and ServerCopyMover (none come by); what was
// decided without I/O is in PartPlan, PartBoard, RetryPolicy and DigestFrontier.
import SluiceBytes

/// Runs one claimed transfer to its end.
public struct TransferRunner: Sendable {
    private(set) var claim: ClaimedTransfer
    let first: any SourceObject
    let alternates: [any SourceObject]
    let target: any SinkTarget
    let journal: any TransferJournal
    let limits: TransferLimits
    let drain: Drain
    let allResources: PipelineResources
    /// The source as it is read together with other transfers of the object; nil if this one reads alone.
    var member: FanOutMember?
    /// The object at all its origins; nil if it has one, or is read with other transfers from that.
    var alternating: AlternatingObject?
    private let onSize: @Sendable (UInt64) -> Void

    /// A runner for a claim whose locations were resolved.
    ///
    /// - Parameters:
    ///   - alternates: the same object at other origins, in the order in which they are asked.
    ///   - member: the source as a member of a shared read.
    ///   - onSize: told the length, bytes, once the first look has shown it.
    public init(
        claim: ClaimedTransfer,
        source: any SourceObject,
        alternates: [any SourceObject] = [],
        target: any SinkTarget,
        journal: any TransferJournal,
        resources: PipelineResources,
        limits: TransferLimits,
        drain: Drain = Drain(),
        member: FanOutMember? = nil,
        onSize: @escaping @Sendable (UInt64) -> Void = { _ in }
    ) {
        self.claim = claim
        first = source
        self.alternates = alternates
        self.target = target
        self.journal = journal
        allResources = resources
        self.member = member
        self.limits = limits
        self.drain = drain
        self.onSize = onSize
    }

    /// The origin that is read now.
    var source: any SourceObject { member == nil ? alternating?.current ?? first : first }

    /// Where the bytes are read.
    var reader: any SourceObject { member ?? alternating ?? first }

    /// What the process shares; a member of a shared read has a budget of its own.
    var resources: PipelineResources {
        guard let budget = member?.budget else { return allResources }
        return allResources.with(budget: budget)
    }

    /// Moves the object, and returns only when it is proven at the sink.
    ///
    /// - Throws: `SluiceError`; its `retry` says whether another run can help. What was moved stays for that run,
    ///   unless the error says that it is of no use. `CancellationError` leaves everything for a later run.
    public func run() async throws -> TransferOutcome {
        guard !alternates.isEmpty else { return try await attempt() }
        return try await runWithAlternates()
    }

    func attempt() async throws -> TransferOutcome {
        phase(.resolving)
        let snapshot = try await journal.snapshot()
        let capabilities = try await Retrying(resources: resources, transfer: claim.id).run(
            host: target.host,
            object: target.location
        ) {
            try await target.capabilities
        }
        let existing = try await lookAtTarget()
        if let outcome = try await settleAsListed(existing, snapshot) { return outcome }
        // The first look may bring the first part along, but only where it is all but certain that it is wanted.
        let mayBeRefused = alternating?.mustProveItself ?? false
        var isWanted =
            snapshot == nil && existing == nil && !mayBeRefused && !target.mayCopyOnServer(from: source)
        if isWanted, source.publishesDigests || claim.request.expectedSHA256 != nil {
            var mayBeThere = target.knowsContent
            if !mayBeThere { mayBeThere = try await journal.mayBeStored() }
            isWanted = !mayBeThere
        }
        let firstPart = try PartPlan.partSize(for: 0, capabilities, preferred: limits.partSize)
        let opened = try await open(prefetch: isWanted ? firstPart : 0, capabilities)
        // Whoever reads it to its end has no use for it any more, and everyone else never had.
        defer { opened.drop() }
        var runner = self
        runner.claim.request.overwrite = claim.request.overwrite.resolved(for: existing)
        return try await runner.run(opened, existing, snapshot, capabilities)
    }

    private func run(
        _ opened: FirstLook,
        _ existing: StoredObject?,
        _ snapshot: JournalSnapshot?,
        _ capabilities: SinkCapabilities
    ) async throws -> TransferOutcome {
        let info = opened.info
        if let size = info.size {
            resources.events.publish(.size(size), of: claim.id)
            onSize(size)
        }
        let expected = try expectedDigest(info)
        try noteOrigins(info, expected)

        // An earlier run may have committed and died before it could say so.
        if let outcome = try await finishEarlierCommit(snapshot, existing, info, expected, capabilities) {
            return outcome
        }
        let decision = try await decide(existing, info, expected)
        if case .settled(let outcome) = decision {
            member?.standAside()
            await discard(snapshot, info)
            return outcome
        }
        guard case .write(let replaces) = decision else { preconditionFailure("a decision is one of two") }

        guard let expected else {
            if let outcome = try await link(opened, nil, replaces) {
                await discard(snapshot, info)
                return outcome
            }
            return try await move(opened, snapshot, capabilities, expected: nil, replaces: replaces)
        }
        var isFound = false
        let outcome = try await oncePerDigest(expected, willWait: { willWait(opened) }) { fresh in
            do {
                var found = try await link(opened, expected, replaces)
                if found == nil { found = try await takeStored(opened, expected, fresh) }
                isFound = found != nil
                if let found { return found }
                return try await move(opened, snapshot, capabilities, expected: expected, replaces: replaces)
            } catch {
                // Whoever waits for it may fare better; a later try asks anew.
                await target.giveBack(expected)
                throw error
            }
        }
        if isFound { await discard(snapshot, info) }
        return outcome
    }

    /// Before a wait for what somebody else stores: who stores it may need what this one holds, and so may its siblings.
    func willWait(_ look: FirstLook) {
        look.drop()
        member?.standAside()
    }

    /// Begin, move, verify, commit.
    private func move(
        _ opened: FirstLook,
        _ snapshot: JournalSnapshot?,
        _ capabilities: SinkCapabilities,
        expected: Digest?,
        replaces: String?
    ) async throws -> TransferOutcome {
        let info = opened.info
        // A digest that only the user knows, or that another origin publishes, is proven by bytes; a copy within the
        // server shows none.
        let isProven = (expected == nil || expected == info.publishedSHA256) && alternating?.isAtSource ?? true
        let copy = isProven ? try await target.serverSideCopy(from: source, info: info) : nil
        let partSize =
            try copy?.partSize ?? PartPlan.partSize(for: info.size ?? 0, capabilities, preferred: limits.partSize)
        let earlier = try await usable(snapshot, info, expected, partSize: partSize)
        let meter = ProgressMeter(transfer: claim.id, settled: 0, events: resources.events, time: resources.time)
        let context = MoveContext(
            transfer: claim.id,
            source: reader,
            isShared: member != nil,
            hasAlternates: alternating != nil && member == nil && (expected ?? info.publishedInstead) != nil,
            info: info,
            target: target,
            capabilities: capabilities,
            journal: journal,
            resources: resources,
            limits: limits,
            meter: meter,
            drain: drain
        )
        var plan = WritePlan(
            size: info.size,
            partSize: partSize,
            info: info,
            origin: source.location,
            expected: expected,
            overwrite: claim.request.overwrite,
            replaces: replaces,
            resume: earlier?.session,
            receipts: earlier?.receipts ?? []
        )
        plan.isOneVersion = alternating == nil && earlier?.pin != .mixed

        if let copy {
            opened.drop()
            member?.willRead([])
            return try await ServerCopyMover(context: context, copy: copy, runner: self).run(plan, earlier)
        }
        if earlier == nil, let size = info.size, size > 0, let session = try await target.beginSharing(source, plan) {
            opened.drop()
            member?.willRead([])
            return try await CloneMover(context: context, plan: plan, runner: self).run(session, size: size)
        }
        if let size = info.size, WholeMover.suits(plan, capabilities),
            let outcome = try await WholeMover(context: context, plan: plan, runner: self).run(opened, size: size)
        {
            return outcome
        }
        // Without a strong pin only one answer is one version, unless a digest will tell.
        if let size = info.size, info.supportsRanges, info.pin.isStrong || expected != nil {
            return try await moveRanges(opened, earlier, context, plan, PartPlan(size: size, partSize: partSize))
        }
        return try await moveSequentially(opened, context, plan)
    }

    private func moveRanges(
        _ opened: FirstLook,
        _ earlier: JournalSnapshot?,
        _ context: MoveContext,
        _ plan: WritePlan,
        _ parts: PartPlan
    ) async throws -> TransferOutcome {
        let session = try await beginSession(plan, context.info, parts.partSize, isFresh: earlier == nil)
        do {
            let resumed = try await Resume(context: context, session: session, plan: parts, earlier: earlier).run()
            context.meter.settle(resumed.receipts.reduce(0) { $0 + $1.part.range.count })
            member?.willRead(parts.missing(beside: resumed.receipts))
            if alternating != nil, member == nil, plan.expected != nil { try await journal.mix() }
            try drain.hold()
            defer { drain.letGo() }
            phase(.moving)
            let mover = PartMover(
                context,
                session: session,
                plan: parts,
                frontier: resumed.frontier,
                receipts: resumed.receipts,
                hashedParts: resumed.hashedParts,
                look: opened
            )
            let receipts = try await mover.run()
            context.meter.publishNow()
            phase(.committing)
            try await resumed.frontier.wait(until: parts.size)
            let digests = resumed.frontier.finish()
            let moved = CommitRequest(
                size: parts.size,
                sha256: digests.sha256,
                digests: digests.extras,
                receipts: receipts
            )
            let request = try await compared(moved, opened, mover, plan.expected)
            defer { for reservation in mover.reservationsUntilCommit { reservation.release() } }
            return try await verifyAndCommit(request, plan.expected, context, session)
        } catch {
            await discardIfUseless(error, session)
            throw error
        }
    }

    private func moveSequentially(
        _ opened: FirstLook,
        _ context: MoveContext,
        _ plan: WritePlan
    ) async throws -> TransferOutcome {
        let frontier = DigestFrontier(end: context.info.size ?? .max, extras: context.digests) { range in
            throw SluiceError(.internalFault, "a stream has nothing to read back at \(range)")
        }
        phase(.moving)
        let mover = SequentialMover(context, look: opened, frontier: frontier, partSize: plan.partSize) { size in
            var known = plan
            known.size = size
            known.resume = nil
            known.receipts = []
            return try await beginSession(known, context.info, plan.partSize, isFresh: true)
        }
        let result = try await mover.run()
        context.meter.publishNow()
        phase(.committing)
        do {
            try await frontier.wait(until: result.size)
            let digests = frontier.finish()
            let request = CommitRequest(
                size: result.size,
                sha256: digests.sha256,
                digests: digests.extras,
                receipts: result.receipts
            )
            defer { for reservation in result.reservations { reservation.release() } }
            return try await verifyAndCommit(request, plan.expected, context, result.session)
        } catch {
            await context.discard(result.session, after: error)
            throw error
        }
    }

    /// Nothing becomes visible before the digest, the length and the version are right.
    func verifyAndCommit(
        _ request: CommitRequest,
        _ expected: Digest?,
        _ context: MoveContext,
        _ session: any SinkSession
    ) async throws -> TransferOutcome {
        try await verify(request, expected, context)
        try await journal.willCommit(sha256: request.sha256)
        return try await commit(request, expected, context, session)
    }

    /// After the intent is in the journal.
    func commit(
        _ request: CommitRequest,
        _ expected: Digest?,
        _ context: MoveContext,
        _ session: any SinkSession
    ) async throws -> TransferOutcome {
        let info = context.info
        let stored = try await context.retrying.run(host: target.host, object: target.location) {
            try await session.commit(request)
        }
        context.meter.publishNow()
        return TransferOutcome(
            state: .done,
            proof: (expected ?? info.publishedInstead) != nil && request.sha256 != nil ? .published : .transport,
            sha256: request.sha256,
            size: request.size,
            moved: context.meter.moved,
            stored: stored,
            note: info.endIsProven || expected != nil ? stored.note : TransferRunner.unprovenEnd
        )
    }

    private static let unprovenEnd =
        "the server gave no length: the end of its connection was taken for the end; --sha256 would prove it"

    func phase(_ phase: TransferPhase) { resources.events.publish(.phase(phase), of: claim.id) }
}
