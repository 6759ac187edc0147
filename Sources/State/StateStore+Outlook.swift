internal import GRDB
import SluicePipeline

/// What is left in the queue.
extension StateStore {
    /// Whether another process works with the state file.
    package var hasCompany: Bool { registry.hasCompany() }

    /// `runnable` counts to 10,000 of a kind and no further: a worker asks often, and only whether there is anything.
    package func outlook(job: JobID?) async throws -> QueueOutlook {
        try await read { [registry, clock, leases] db in
            let now = clock.now()
            let ours = OutlookQuery(job: job, now: now, db: db)
            var outlook = QueueOutlook(
                runnable: try ours.queued() + ours.due(),
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

/// Questions about the transfers that a worker may run: those of its job, or all that need no other command. Each names
/// its index: without statistics SQLite would take the job's, and walk over everything the job has done.
private struct OutlookQuery {
    let job: JobID?
    let now: Int64
    let db: Database

    private var mine: String { job == nil ? "needs_command = 0" : "job = :job" }

    private var arguments: StatementArguments { ["job": job?.value, "now": now] }

    func queued() throws -> Int {
        try count(RunnableHeads.source(ofJob: job != nil))
    }

    func due() throws -> Int {
        try count("transfer INDEXED BY transfer_delayed WHERE state = 'delayed' AND not_before <= :now AND \(mine)")
    }

    private func count(_ source: String) throws -> Int {
        let row = try db.row("SELECT count(*) AS n FROM (SELECT 1 FROM \(source) LIMIT 10000)", arguments)
        return try row?.required("n") ?? 0
    }

    func nextDue() throws -> Int64? {
        try db.row(
            """
            SELECT not_before FROM transfer INDEXED BY transfer_delayed
            WHERE state = 'delayed' AND not_before > :now AND \(mine) ORDER BY not_before LIMIT 1
            """,
            arguments
        )?.optional("not_before")
    }

    func running() throws -> [Row] {
        try db.rows(
            """
            SELECT owner, boot, lease_until FROM transfer INDEXED BY transfer_running
            WHERE state = 'running' AND \(mine)
            """,
            arguments
        )
    }
}
