internal import GRDB
import SluiceBytes
import SluicePipeline

/// Claims: who may work on what, for how long.
extension StateStore: TransferQueue {
    /// Delayed rows that one claim promotes at most: bounds a claim after an outage that delayed everything.
    private static let promotionLimit = 1_000
    /// Milliseconds for which a row may go by what a listing told of its source's version. Whoever copies a directory
    /// looks at it once; whoever works a queue off at night means what is there at night.
    private static let listingLife: Int64 = 600_000

    package func claim(
        limit: Int,
        job: JobID?,
        perHost: Int,
        running: [String: Int]
    ) async throws -> [ClaimedTransfer] {
        guard limit > 0 else { return [] }
        let lease = Lease(worker: registry.name, boot: leases.boot, until: leases.now() + leaseLength)
        return try await commits.perform { [registry, clock, leases] db in
            let now = clock.now()
            try Leases.reap(registry, boot: leases.boot, time: leases.now(), now: now, db)
            try Self.promote(now: now, db)
            let heads = try RunnableHeads(db: db, job: job).best(limit, perHost: perHost, running: running)
            return try Self.take(heads, ofJob: job != nil, lease, now: now, db)
        }
    }

    private struct Lease: Sendable {
        var worker: String
        var boot: String
        var until: Int64
    }

    private static func promote(now: Int64, _ db: Database) throws {
        try db.run(
            """
            UPDATE transfer SET state = 'queued', not_before = NULL WHERE id IN (
                SELECT id FROM transfer INDEXED BY transfer_delayed
                WHERE state = 'delayed' AND not_before <= ? ORDER BY not_before LIMIT \(promotionLimit))
            """,
            [now]
        )
    }

    /// Each with the waiting ones that read its source with it, however many were asked for: they are to run together.
    private static func take(
        _ heads: [Int64],
        ofJob: Bool,
        _ lease: Lease,
        now: Int64,
        _ db: Database
    ) throws -> [ClaimedTransfer] {
        var claims: [ClaimedTransfer] = []
        var taken: Set<Int64> = []
        for head in heads where taken.insert(head).inserted {
            let claim = try take(head, lease, now: now, db)
            claims.append(claim)
            guard let fanOut = claim.request.fanOut else { continue }
            let siblings = try db.rows(
                """
                SELECT id FROM transfer INDEXED BY transfer_fan_out
                WHERE state = 'queued' AND fan_out IS NOT NULL AND job = ? AND fan_out = ? AND needs_command <= ?
                ORDER BY id
                """,
                [claim.job.value, fanOut, ofJob ? 1 : 0]
            )
            for row in siblings {
                let id: Int64 = try row.required("id")
                taken.insert(id)
                claims.append(try take(id, lease, now: now, db))
            }
        }
        return claims
    }

    /// The attempt is counted before it starts: one that kills its worker is counted too.
    private static func take(_ id: Int64, _ lease: Lease, now: Int64, _ db: Database) throws -> ClaimedTransfer {
        let sql = """
            UPDATE transfer SET state = 'running', fence = fence + 1, owner = ?, boot = ?, lease_until = ?,
                attempts = attempts + 1, wanted = NULL
            WHERE id = ?
            RETURNING \(TransferRequest.columns), job, fence, attempts, priority,
                EXISTS (SELECT 1 FROM journal WHERE transfer = transfer.id) AS has_journal
            """
        guard let row = try db.row(sql, [lease.worker, lease.boot, lease.until, id]) else {
            preconditionFailure("the row is there: its number was just read")
        }
        let attempts: Int = try row.required("attempts")
        var request = try TransferRequest(row)
        if let at = request.listed?.at {
            let (age, overflow) = now.subtractingReportingOverflow(at)
            // A listing of the future is of a clock that was set back.
            if overflow || !(0...listingLife).contains(age) { request.listed = nil }
        }
        return ClaimedTransfer(
            id: TransferID(id),
            job: JobID(try row.required("job")),
            request: request,
            fence: try row.required("fence"),
            attempts: attempts - 1,
            priority: try row.required("priority"),
            isFresh: !(try row.required("has_journal"))
        )
    }

    @discardableResult
    package func release(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState] {
        guard !claims.isEmpty else { return [:] }
        return try await commits.perform { [registry, clock] db in
            var released: [TransferID: TransferState] = [:]
            for claim in claims {
                let row = try db.row(
                    """
                    UPDATE transfer SET state = coalesce(wanted, 'queued'),
                        finished_at = CASE WHEN wanted = 'cancelled' THEN ? END,
                        wanted = NULL, owner = NULL, boot = NULL, lease_until = NULL,
                        attempts = max(attempts - 1, 0)
                    WHERE id = ? AND fence = ? AND owner = ? AND state = 'running' RETURNING state
                    """,
                    [clock.now(), claim.id.value, claim.fence, registry.name]
                )
                guard let state: String = row?.optional("state") else { continue }
                released[claim.id] = TransferState(rawValue: state)
            }
            return released
        }
    }

    package func heartbeat(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState] {
        guard !claims.isEmpty else { return [:] }
        let until = leases.now() + leaseLength
        return try await commits.perform { [registry] db in
            var wanted: [TransferID: TransferState] = [:]
            for claim in claims {
                let row = try db.row(
                    """
                    UPDATE transfer SET lease_until = ?
                    WHERE id = ? AND fence = ? AND owner = ? AND state = 'running' RETURNING wanted
                    """,
                    [until, claim.id.value, claim.fence, registry.name]
                )
                guard let state: String = row?.optional("wanted") else { continue }
                wanted[claim.id] = TransferState(rawValue: state)
            }
            return wanted
        }
    }

    package func journal(of claim: ClaimedTransfer) -> any TransferJournal {
        StateJournal(store: self, claim: claim)
    }
}
