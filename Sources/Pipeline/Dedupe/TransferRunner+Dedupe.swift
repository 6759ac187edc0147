import SluiceBytes

/// The dedupe stage: what of an object need not be fetched, asked before its first byte.
extension TransferRunner {
    /// Whether what is there has the digest: as this machine has proven it before, if it did not change since, or as a
    /// look at its record or its bytes tells now.
    func isThere(_ digest: Digest, _ existing: StoredObject) async throws -> Bool {
        let isProven = try await journal.stored(digest).contains { known in
            known.location == existing.location && known.fingerprint == existing.fingerprint
        }
        if isProven { return true }
        return try await target.holds(digest, in: existing, pool: resources.pool) == true
    }

    /// Content that this machine has stored before is taken from there: a server copies it, a file is cloned or copied,
    /// and its bytes are hashed on the way. Whatever is wrong with it, the source has it too.
    ///
    /// - Parameter fresh: what another transfer has stored while this one waited for it.
    func takeStored(_ opened: FirstLook, _ expected: Digest, _ fresh: StoredObject?) async throws -> TransferOutcome? {
        // A sink that knows its content was asked for it.
        if target.knowsContent { return nil }
        // What is renewed is fetched: another copy may be as damaged as this one, and a server would not tell.
        let older = claim.request.overwrite == .renew ? [] : try await journal.stored(expected)
        for known in (fresh.map { [$0] } ?? []) + older.filter({ $0.location != fresh?.location })
        where known.location != target.location && known.size == opened.info.size ?? known.size {
            do {
                guard
                    let adopted = try await target.adopt(
                        known,
                        digest: expected,
                        overwrite: claim.request.overwrite
                    )
                else { continue }
                opened.drop()
                member?.willRead([])
                return TransferOutcome(
                    state: .done,
                    proof: .published,
                    sha256: expected,
                    size: adopted.size,
                    moved: 0,
                    stored: adopted,
                    note: "same content as \(Redact.location(known.location)), not fetched again"
                )
            } catch let error as SluiceError where error.code != .exists && error.retry != .park {
                // The sink's own trouble with what it has just stored: a fetch would meet it, too.
                if known == fresh, error.retry.isAnotherTry { throw error }
            }
        }
        return nil
    }

    /// Content that the sink has under another name is linked, not fetched.
    ///
    /// - Parameters:
    ///   - expected: nil if no digest is published; the sink may know another name that the source has for it.
    ///   - isRecalled: the sink itself has told `expected`.
    func link(
        _ opened: FirstLook,
        _ expected: Digest?,
        _ replaces: String?,
        isRecalled: Bool = false
    ) async throws -> TransferOutcome? {
        guard target.knowsContent else { return nil }
        var plan = WritePlan(
            size: opened.info.size,
            partSize: 0,
            info: opened.info,
            origin: source.location,
            expected: expected,
            overwrite: claim.request.overwrite,
            replaces: replaces
        )
        plan.isRecalled = isRecalled
        let retrying = Retrying(resources: resources, transfer: claim.id)
        let stored = try await retrying.run(host: target.host, object: target.location) {
            try await target.link(plan, willWait: { willWait(opened) })
        }
        guard let stored else { return nil }
        opened.drop()
        member?.willRead([])
        return TransferOutcome(
            state: .done,
            proof: (expected ?? opened.info.publishedInstead) == nil ? .transport : .published,
            sha256: expected ?? stored.recordedSHA256,
            size: stored.size,
            moved: 0,
            stored: stored,
            note: stored.note
        )
    }

    /// Equal digests in flight are fetched once: the others are given what the first one stored.
    func oncePerDigest(
        _ digest: Digest,
        willWait: () -> Void,
        _ body: (StoredObject?) async throws -> TransferOutcome
    ) async throws -> TransferOutcome {
        switch try await resources.inFlight.claim(digest, at: target.host, group: member?.group, willWait: willWait) {
        case .together: return try await body(nil)
        case .stored(let other): return try await body(other)
        case .owner:
            do {
                let outcome = try await body(nil)
                resources.inFlight.settle(digest, at: target.host, stored: outcome.stored)
                return outcome
            } catch {
                resources.inFlight.settle(digest, at: target.host, stored: nil)
                throw error
            }
        }
    }
}
