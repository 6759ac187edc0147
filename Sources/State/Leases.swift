internal import GRDB
import SluicePipeline

/// Claims that nobody holds any more.
enum Leases {
    /// A transfer whose workers died so often without any progress is left to a person: it may be what kills them.
    static let deathLimit = 10

    /// Gives the claims of `worker` back to the queue: all of them, or those whose lease ended before `expired`.
    static func void(_ worker: String, expiredBefore expired: Int64 = .max, now: Int64, _ db: Database) throws {
        try db.run(
            """
            UPDATE transfer INDEXED BY transfer_running SET
                state = CASE
                    WHEN wanted IS NOT NULL THEN wanted
                    WHEN deaths + 1 >= \(deathLimit) THEN 'parked'
                    ELSE 'queued' END,
                finished_at = CASE WHEN wanted = 'cancelled' THEN :now END,
                error_code = CASE WHEN deaths + 1 >= \(deathLimit) THEN 'internal' ELSE error_code END,
                error_message = CASE WHEN deaths + 1 >= \(deathLimit)
                    THEN 'its worker died ' || (deaths + 1) || ' times in a row' ELSE error_message END,
                wanted = NULL, owner = NULL, boot = NULL, lease_until = NULL,
                attempts = max(attempts - 1, 0), deaths = deaths + 1
            WHERE state = 'running' AND owner = :owner AND lease_until < :expired
            """,
            ["now": now, "owner": worker, "expired": expired]
        )
    }

    /// Voids what dead, stopped or departed workers hold.
    static func reap(_ registry: WorkerRegistry, boot: String, time: Int64, now: Int64, _ db: Database) throws {
        for row in try db.rows(holders, [registry.name]) {
            let worker: String = try row.required("owner")
            let itsBoot: String? = row.optional("boot")
            if itsBoot != boot || !registry.isAlive(worker) {
                try void(worker, now: now, db)
            } else {
                try void(worker, expiredBefore: time, now: now, db)
            }
        }
    }

    /// The other workers with claims.
    static let holders = """
        SELECT owner, min(boot) AS boot, min(lease_until) AS until, count(*) AS claims
        FROM transfer INDEXED BY transfer_running
        WHERE state = 'running' AND owner <> ? GROUP BY owner
        """
}
