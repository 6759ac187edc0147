import SluiceBytes

/// The dedupe stage before the first look: a listing told the version, and the sink has noted what that version was.
extension TransferRunner {
    /// Ends a transfer of which no more need be known than the listing told; nil if the source is to be looked at.
    ///
    /// One version of one place is one content (RFC 9110 §8.8.3), which was read and matched when it came. Whatever else
    /// may decide, a demanded digest, an earlier attempt, another origin or target, goes by a look.
    func settleAsListed(_ existing: StoredObject?, _ snapshot: JournalSnapshot?) async throws -> TransferOutcome? {
        let request = claim.request
        guard snapshot == nil, claim.attempts == 0, member == nil, alternating == nil, request.expectedSHA256 == nil,
            request.overwrite != .renew, target.knowsContent, let version = request.listed, let size = request.size,
            var info = source.listed(version, size: size), let digest = await target.recall(info)
        else { return nil }
        if let existing {
            // Whether something else may give way is told by a look.
            guard existing.recordedSHA256 == digest else { return nil }
            return skipped(existing, digest, .published, "the same content is there already")
        }
        info.published = [digest]
        return try await link(FirstLook(OpenedObject(info: info), memory: nil), digest, nil, isRecalled: true)
    }
}
