import FoundationEssentials
internal import GRDB
import SluiceBytes
import SluicePipeline

/// The ends of claims.
extension StateStore {
    /// A server that asks for more than a week is asked again after a week.
    private static let longestDelay: Int64 = 7 * 86_400_000

    package func finish(_ claim: ClaimedTransfer, _ outcome: TransferOutcome) async throws {
        guard outcome.state == .done || outcome.state == .skipped else {
            throw SluiceError(.internalFault, "a transfer cannot finish as \(outcome.state.rawValue)")
        }
        try await commits.perform { [registry, clock] db in
            let now = clock.now()
            let changed = try db.run(
                """
                UPDATE transfer SET state = :state, finished_at = :now, proof = :proof, sha256 = :sha256,
                    size = :size, moved = moved + :moved, fingerprint = :fingerprint, note = :note,
                    pin = (SELECT pin FROM journal WHERE transfer = :id),
                    wanted = NULL, owner = NULL, boot = NULL, lease_until = NULL, deaths = 0,
                    error_code = NULL, error_message = NULL, error_remedy = NULL
                WHERE id = :id AND fence = :fence AND owner = :owner AND state = 'running'
                    AND expected_sha256 IS :expected AND overwrite = :overwrite
                """,
                [
                    "expected": claim.request.expectedSHA256, "overwrite": claim.request.overwrite.rawValue,
                    "state": outcome.state.rawValue, "now": now, "proof": outcome.proof.rawValue,
                    "sha256": outcome.sha256.map { Data($0.bytes) }, "size": outcome.size.stored,
                    "moved": Int64(clamping: outcome.moved), "fingerprint": outcome.stored.fingerprint,
                    "note": outcome.note, "id": claim.id.value, "fence": claim.fence, "owner": registry.name,
                ]
            )
            if changed == 0 {
                guard try Self.queueAgain(claim, registry.name, db) else {
                    return try Self.confirmFinished(claim, outcome, db)
                }
                return try StateJournal.forget(claim.id, db)
            }
            try StateJournal.forget(claim.id, db)
            try HostHistory.succeeded(claim.request.host, now: now, db)
        }
    }

    /// Someone added the same transfer with another digest or policy while it ran: this end says nothing of those
    /// demands, so it goes again, and finds at the sink what this claim put there.
    private static func queueAgain(_ claim: ClaimedTransfer, _ owner: String, _ db: Database) throws -> Bool {
        let changed = try db.run(
            """
            UPDATE transfer SET state = 'queued', owner = NULL, boot = NULL, lease_until = NULL, wanted = NULL,
                attempts = 0, deaths = 0
            WHERE id = ? AND fence = ? AND owner = ? AND state = 'running'
            """,
            [claim.id.value, claim.fence, owner]
        )
        return changed > 0
    }

    /// A finish whose answer was lost is asked again: the same end under the same fence is success.
    private static func confirmFinished(
        _ claim: ClaimedTransfer,
        _ outcome: TransferOutcome,
        _ db: Database
    ) throws {
        let row = try db.row("SELECT state, fence FROM transfer WHERE id = ?", [claim.id.value])
        let state: String? = row?.optional("state")
        let fence: Int64? = row?.optional("fence")
        guard state == outcome.state.rawValue, fence == claim.fence else { throw StateFault.superseded(claim.id) }
    }

    /// The journal stays: a later attempt, or the same command run again, goes on from it. An end for good under demands
    /// that somebody changed meanwhile says nothing of his.
    package func fail(_ claim: ClaimedTransfer, _ error: SluiceError, retryAfter: Duration?) async throws {
        let delay = retryAfter.map { min(max($0.milliseconds, 0), Self.longestDelay) }
        let end: TransferState = delay != nil ? .delayed : error.retry == .park ? .parked : .failed
        try await commits.perform { [registry, clock] db in
            let now = clock.now()
            let changed = try db.run(
                """
                UPDATE transfer SET
                    state = CASE WHEN wanted = 'cancelled' OR (wanted = 'paused' AND :state <> 'failed')
                        THEN wanted ELSE :state END,
                    finished_at = CASE WHEN wanted = 'cancelled' OR :state = 'failed' THEN :now END,
                    not_before = CASE WHEN wanted IS NULL THEN :due END,
                    error_code = :code, error_message = :message, error_remedy = :remedy,
                    attempts = CASE WHEN :paused THEN max(attempts - 1, 0) ELSE attempts END,
                    wanted = NULL, owner = NULL, boot = NULL, lease_until = NULL, deaths = 0
                WHERE id = :id AND fence = :fence AND owner = :owner AND state = 'running'
                    AND (:state <> 'failed' OR wanted IS NOT NULL
                        OR (expected_sha256 IS :expected AND overwrite = :overwrite))
                """,
                [
                    // A pause that the host asked for is no failed attempt, in whichever process.
                    "paused": error.gaveSlotUp, "state": end.rawValue, "now": now, "due": delay.map { now + $0 },
                    "code": error.code.rawValue,
                    "message": Self.text(of: error), "remedy": error.remedy, "id": claim.id.value,
                    "fence": claim.fence, "owner": registry.name,
                    "expected": claim.request.expectedSHA256, "overwrite": claim.request.overwrite.rawValue,
                ]
            )
            if changed == 0 {
                let goesAgain = try end == .failed && Self.queueAgain(claim, registry.name, db)
                guard goesAgain else { throw StateFault.superseded(claim.id) }
            }
            try HostHistory.failed(claim.request.host, error.code, now: now, db)
        }
    }

    private static func text(of error: SluiceError) -> String {
        error.message + (error.cause.map { " (\($0))" } ?? "")
    }
}
