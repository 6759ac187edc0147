internal import GRDB
import SluicePipeline

/// What is left in the queue.
extension StateStore {
    /// `runnable` counts to 10,000 of a kind and no further: a worker asks often, and only whether there is anything.
    package func outlook(job: JobID?) async throws -> QueueOutlook {
        try await read { [registry, clock, leases] db in
            let now = clock.now()
            let ours = OutlookQuery(job: job, now: now, db: db)
            var outlook = QueueOutlook(
                runnable: try ours.count("state = 'queued'") + ours.count("state = 'delayed' AND not_before <= :now"),
                elsewhere: 0,
                nextDue: try ours.nextDue().map { .milliseconds($0 - now) }
            )
            for row in try ours.running() {
                let owner: String = try row.required("owner")
                if owner == registry.name { continue }
                let boot: String? = row.optional("boot")
                let until: Int64 = row.optional("lease_until") ?? 0
                if boot == leases.boot, until >= leases.now(), registry.isAlive(owner) {
                    outlook.elsewhere += 1
                } else {
                    outlook.runnable += 1
                }
            }
            return outlook
        }
    }
}

/// Questions about the transfers that a worker may run: those of its job, or all that need no other command.
private struct OutlookQuery {
    let job: JobID?
    let now: Int64
    let db: Database

    private var mine: String { job == nil ? "needs_command = 0" : "job = :job" }

    private var arguments: StatementArguments { ["job": job?.value, "now": now] }

    func count(_ condition: String) throws -> Int {
        let rows = "SELECT 1 FROM transfer WHERE \(condition) AND \(mine) LIMIT 10000"
        return try db.row("SELECT count(*) AS n FROM (\(rows))", arguments)?.required("n") ?? 0
    }

    func nextDue() throws -> Int64? {
        try db.row(
            "SELECT min(not_before) AS due FROM transfer WHERE state = 'delayed' AND not_before > :now AND \(mine)",
            arguments
        )?.optional("due")
    }

    func running() throws -> [Row] {
        try db.rows("SELECT owner, boot, lease_until FROM transfer WHERE state = 'running' AND \(mine)", arguments)
    }
}
