import SluiceBytes

extension TransferRunner {
    /// What the first look at source and sink leads to.
    enum Decision {
        case settled(TransferOutcome)
        /// `replaces` is the fingerprint of what is there and may be replaced.
        case write(replaces: String?)
    }

    /// Looks at the source, with its first bytes under way where `prefetch` asks for some: their memory is admitted
    /// before they are asked for, and given back while a failure is waited out.
    func open(prefetch: UInt64, _ capabilities: SinkCapabilities) async throws -> FirstLook {
        let retrying = Retrying(resources: resources, transfer: claim.id)
        let options = ReadOptions(
            pool: resources.pool,
            gate: resources.readGate(of: source, pacesWrites: target.pacesWrites),
            idleTimeout: limits.idleTimeout
        )
        member?.announce(capabilities, limits, listedSize: claim.request.size, pacesWrites: target.pacesWrites)
        if member == nil { try await alternating?.turnFromPause() }
        return try await retrying.run(host: source.host, object: source.location) {
            let bytes = FirstLook.memory(prefetch: prefetch, of: claim.request.size, capabilities)
            let memory = prefetch > 0 && reader.readsAhead ? try await resources.budget.reserve(bytes) : nil
            return FirstLook(try await reader.open(prefetch: prefetch, options: options), memory: memory)
        }
    }

    /// The digest that the whole must have: the user's, the publisher's, or both if they agree.
    func expectedDigest(_ info: ObjectInfo) throws -> Digest? {
        guard let hex = claim.request.expectedSHA256 else { return info.publishedSHA256 }
        guard let demanded = Digest(.sha256, hex: hex) else {
            throw SluiceError(.usage, "--sha256 wants 64 hexadecimal digits, not \(Printable.text(hex))")
        }
        if let published = info.publishedSHA256, published != demanded {
            throw SluiceError(
                .digestMismatch,
                object: source.location,
                "you demand \(demanded), the source publishes \(published)",
                remedy: "check which of the two is right"
            )
        }
        return demanded
    }

    /// What is under the final name, before the source is asked for a byte.
    func lookAtTarget() async throws -> StoredObject? {
        let retrying = Retrying(resources: resources, transfer: claim.id)
        do {
            return try await retrying.run(host: target.host, object: target.location) {
                try await target.existing()
            }
        } catch let error as SluiceError where error.code == .notAuthorised && claim.request.overwrite.mayReplace {
            // Whatever is there may go.
            return nil
        }
    }

    /// Same digest there, nothing moves.
    func decide(_ existing: StoredObject?, _ info: ObjectInfo, _ expected: Digest?) async throws -> Decision {
        guard let existing else { return .write(replaces: nil) }
        if claim.request.overwrite == .skip {
            return .settled(
                skipped(existing, nil, .transport, "something is there already, and --no-clobber leaves it")
            )
        }
        if claim.request.overwrite == .renew { return .write(replaces: existing.fingerprint) }
        if let published = expected ?? info.publishedInstead, info.size == nil || info.size == existing.size,
            try await isThere(published, existing)
        {
            return .settled(skipped(existing, expected, .published, "the same content is there already"))
        }
        if pinIsSources(expected), let done = try await journal.lastDone(), done.pin == info.pin, done.pin.isStrong,
            done.fingerprint == existing.fingerprint, expected == nil || expected == done.sha256
        {
            let proof: Proof = (expected ?? info.publishedInstead) == nil ? .transport : .published
            return .settled(skipped(existing, done.sha256, proof, "neither side changed since it was copied"))
        }
        var digests = expected.map { "; \($0) is wanted" } ?? ""
        if expected == nil, info.size == existing.size, let recorded = existing.recordedSHA256,
            let own = try await digestOfLocalSource(info)
        {
            if own == recorded {
                return .settled(skipped(existing, recorded, .transport, "the same content is there already"))
            }
            digests = "; \(recorded) is recorded there, the source has \(own)"
        }
        guard claim.request.overwrite == .refuse else { return .write(replaces: existing.fingerprint) }
        // No digest is known, so that only the bytes can tell: they come, and are compared at commit.
        if expected == nil, info.size == existing.size, try await target.capabilities.shape == .positioned {
            return .write(replaces: nil)
        }
        let lengths = "\(existing.size) bytes; the source has " + (info.size.map { "\($0)" } ?? "an unknown number of")
        let what =
            digests.isEmpty && info.size == existing.size
            ? "an object of the same length is there already, and no digest tells whether it is the same"
            : "something else is there already"
        throw SluiceError(
            .exists,
            object: target.location,
            "\(what) (\(lengths)\(digests))",
            remedy: "give --overwrite to replace it or --no-clobber to leave it"
        )
    }

    /// SHA-256 of a file of this machine: to read it is cheaper than to send it again. Nil for what is elsewhere.
    private func digestOfLocalSource(_ info: ObjectInfo) async throws -> Digest? {
        guard source.host == "file", let size = info.size, info.supportsRanges else { return nil }
        phase(.verifying)
        let memory = try await resources.budget.reserve(2 * UInt64(BufferPool.chunkCapacity))
        defer { memory.release() }
        let options = ReadOptions(pool: resources.pool, gate: nil, idleTimeout: limits.idleTimeout)
        let stream = try await source.read(ByteRange(0, size), of: info, options: options)
        defer { stream.cancel() }
        var hash = SHA256()
        while let chunk = try await stream.next() { hash.update(chunk) }
        try await source.confirmUnchanged(info)
        return hash.finalized()
    }

    func skipped(_ stored: StoredObject, _ digest: Digest?, _ proof: Proof, _ why: String) -> TransferOutcome {
        TransferOutcome(
            state: .skipped,
            proof: proof,
            sha256: digest,
            size: stored.size,
            moved: 0,
            stored: stored,
            note: why
        )
    }

    /// A run that died between its commit and its last word left `committing` in the journal: look, do not guess.
    func finishEarlierCommit(
        _ snapshot: JournalSnapshot?,
        _ existing: StoredObject?,
        _ info: ObjectInfo,
        _ expected: Digest?,
        _ capabilities: SinkCapabilities
    ) async throws -> TransferOutcome? {
        guard let snapshot, snapshot.committing, isSame(snapshot, info, expected), pinIsSources(expected),
            let size = snapshot.size,
            // What was copied within a server was never hashed: then only its own record vouches for it.
            expected == nil || expected == snapshot.commitDigest ?? info.publishedSHA256
        else { return nil }
        let retrying = Retrying(resources: resources, transfer: claim.id)
        let stored: StoredObject?
        do {
            stored = try await retrying.run(host: target.host, object: target.location) {
                switch capabilities.shape {
                case .positioned: try await earlierFile(snapshot, info, size)
                case .parts: try await commitEarlierParts(snapshot, existing, info, size)
                case .ordered: nil
                }
            }
        } catch let error as SluiceError {
            switch error.retry {
            case .backoff, .after, .immediately: throw error
            case .never, .restart, .park: return nil
            }
        }
        guard let stored else { return nil }
        // The intent to commit came after every comparison.
        let isProven = snapshot.commitDigest.map { expected == $0 || info.publishedInstead != nil } ?? false
        return TransferOutcome(
            state: .done,
            proof: isProven ? .published : .transport,
            sha256: snapshot.commitDigest,
            size: size,
            moved: 0,
            stored: stored,
            note: "an earlier run had moved everything"
        )
    }

    /// A file is only looked at. To commit it unread would publish whatever is on the disk under the temporary name
    /// now: after a power failure that need not be what was written, and a temporary that is gone is made anew, empty.
    private func earlierFile(
        _ snapshot: JournalSnapshot,
        _ info: ObjectInfo,
        _ size: UInt64
    ) async throws -> StoredObject? {
        guard let digest = snapshot.commitDigest, let there = try await target.existing(), there.size == size,
            try await target.holds(digest, in: there, pool: resources.pool) == true
        else { return nil }
        // Its temporary name may be there too: link(2) and unlink(2) are two steps.
        await discard(snapshot, info)
        return there
    }

    /// Parts at a server are named by their receipts, and the sink looks before it completes.
    private func commitEarlierParts(
        _ snapshot: JournalSnapshot,
        _ existing: StoredObject?,
        _ info: ObjectInfo,
        _ size: UInt64
    ) async throws -> StoredObject? {
        let covered = snapshot.receipts.reduce(0) { $1.part.range.lower == $0 ? $1.part.range.upper : 0 }
        guard let session = snapshot.session, snapshot.receipts.isEmpty || covered == size else { return nil }
        let plan = WritePlan(
            size: size,
            partSize: snapshot.partSize,
            info: info,
            overwrite: claim.request.overwrite,
            replaces: existing?.fingerprint,
            resume: session,
            receipts: snapshot.receipts
        )
        let request = CommitRequest(size: size, sha256: snapshot.commitDigest, receipts: snapshot.receipts)
        return try await target.begin(plan).commit(request)
    }

    /// Whether an equal pin is one of the same origin: two may have the same entity tag for different bytes
    /// (RFC 9110 §8.8.3: it tells versions of one resource apart).
    private func pinIsSources(_ expected: Digest?) -> Bool {
        guard let alternating else { return true }
        return expected != nil || alternating.isAtSource
    }

    /// Whether an earlier attempt's bytes are of this version, or of several origins, and a SHA-256 decides.
    private func isSame(_ snapshot: JournalSnapshot, _ info: ObjectInfo, _ expected: Digest?) -> Bool {
        snapshot.pin == info.pin || snapshot.pin == .mixed && expected != nil
    }

    /// What of an earlier attempt is of use: bytes of the same version, under a pin that can prove it.
    ///
    /// - Parameter partSize: of this run. An attempt with other parts was another kind of attempt: a copy within the
    ///   server has parts that would not fit into memory.
    func usable(
        _ snapshot: JournalSnapshot?,
        _ info: ObjectInfo,
        _ expected: Digest?,
        partSize: UInt64
    ) async throws -> JournalSnapshot? {
        guard let snapshot else { return nil }
        guard !snapshot.pin.contradicts(info.pin) else {
            throw SluiceError(
                .badAnswer,
                object: source.location,
                "it was \(snapshot.pin) before, it is \(info.pin) now: one ETag cannot have two lengths",
                remedy: "the server contradicts itself: try again later, or another mirror",
                retry: .backoff
            )
        }
        // Nobody knows of which origin an earlier attempt's bytes are. Any are as good where a SHA-256 decides, and none
        // where no digest does, whatever the pins are.
        let mayBeForeign = alternating != nil && member == nil
        let isSame = mayBeForeign ? expected != nil : isSame(snapshot, info, expected)
        if isSame, snapshot.size == info.size, info.size != nil, snapshot.partSize == partSize, info.supportsRanges,
            info.pin.isStrong || expected != nil
        {
            if mayBeForeign { alternating?.noteForeignBytes() }
            return snapshot
        }
        await discard(snapshot, info)
        if snapshot.pin != info.pin || snapshot.size != info.size {
            resources.events.publish(
                .warning("\(source.location): was \(snapshot.pin), is \(info.pin) now; starting over"),
                of: claim.id
            )
        }
        try await journal.reset()
        return nil
    }

    /// Removes what an earlier attempt left at the sink: nothing goes on from it. What cannot be removed is found by
    /// `cleanup`, in a store by a collection.
    func discard(_ earlier: JournalSnapshot?, _ info: ObjectInfo) async {
        // Read again for its fence: what another worker goes on from is not ours to remove.
        guard let earlier, let record = earlier.session, let now = try? await journal.snapshot(), now.session == record
        else { return }
        let plan = WritePlan(size: earlier.size, partSize: earlier.partSize, info: info, resume: record)
        await (try? target.begin(plan))?.abort()
    }

    /// Intent first, then the side effect, then what it returned.
    func beginSession(
        _ plan: WritePlan,
        _ info: ObjectInfo,
        _ partSize: UInt64,
        isFresh: Bool
    ) async throws -> any SinkSession {
        // Told to stop, it waits for what the sink calls the session: nobody would find it again.
        try drain.hold()
        defer { drain.letGo() }
        if isFresh { try await journal.begin(pin: info.pin, size: plan.size, partSize: partSize) }
        let retrying = Retrying(resources: resources, transfer: claim.id)
        let session = try await retrying.run(host: target.host, object: target.location) {
            try await target.begin(plan)
        }
        let intended = await session.record
        try await journal.save(session: intended)
        try await retrying.run(host: target.host, object: target.location) { try await session.prepare() }
        let prepared = await session.record
        if prepared != intended { try await journal.save(session: prepared) }
        if drain.isRequested { throw CancellationError() }
        return session
    }

    /// After an error that makes what was moved useless, nothing of it stays behind.
    func discardIfUseless(_ error: any Error, _ session: any SinkSession) async {
        // What a cancelled step throws says nothing about the bytes.
        guard let failure = error as? SluiceError, !Task.isCancelled else { return }
        switch failure.retry {
        case .restart, .never:
            // A lease that went to another worker took the session with it.
            guard failure.code != .superseded else { return }
            await session.abort()
            // The failure in hand is the one to tell. A record that stays is found again by the next run.
            try? await journal.reset()
        case .backoff, .after, .immediately, .park: return
        }
    }
}
