internal import GRDB
import SluicePipeline

/// Finds the best runnable transfers without walking over those whose host is busy: the heads of every host's queue,
/// merged by rank. The hosts come from a loose scan of the index (one seek for each host), so that the cost is
/// hosts × log(rows), even when one busy host owns a million rows.
struct RunnableHeads {
    private struct Head {
        var rank: Int64
        var id: Int64
    }

    let db: Database
    /// The heads of one job, with those that only its command can run; nil: of all jobs, without them.
    let job: JobID?

    /// The literals must be the indexes' own words, or SQLite does not use a partial index
    /// (sqlite.org/partialindex.html section 3).
    static func source(ofJob: Bool) -> String {
        ofJob
            ? "transfer INDEXED BY transfer_job_runnable WHERE state = 'queued' AND job = :job"
            : "transfer INDEXED BY transfer_runnable WHERE state = 'queued' AND needs_command = 0"
    }

    static func hostsSQL(ofJob: Bool, first: Bool) -> String {
        "SELECT host FROM \(source(ofJob: ofJob)) AND host \(first ? ">=" : ">") :host ORDER BY host LIMIT 1"
    }

    static func headsSQL(ofJob: Bool) -> String {
        "SELECT id, rank FROM \(source(ofJob: ofJob)) AND host = :host ORDER BY rank, id LIMIT :limit"
    }

    /// Ids in order of rank, then of entry; at most `perHost` of a host, those that run already counted.
    func best(_ limit: Int, perHost: Int, running: [String: Int]) throws -> [Int64] {
        var heads: [Head] = []
        var next = try host(after: nil)
        while let host = next {
            let free = min(limit, perHost - (running[host] ?? 0))
            if free > 0 {
                let rows = try db.rows(Self.headsSQL(ofJob: job != nil), arguments(["host": host, "limit": free]))
                for row in rows { heads.append(Head(rank: try row.required("rank"), id: try row.required("id"))) }
            }
            next = try self.host(after: host)
        }
        heads.sort { ($0.rank, $0.id) < ($1.rank, $1.id) }
        return heads.prefix(limit).map(\.id)
    }

    private func host(after host: String?) throws -> String? {
        let sql = Self.hostsSQL(ofJob: job != nil, first: host == nil)
        return try db.row(sql, arguments(["host": host ?? ""]))?.optional("host")
    }

    private func arguments(_ named: [String: (any DatabaseValueConvertible)?]) -> StatementArguments {
        var arguments = StatementArguments(named)
        if let job { arguments += ["job": job.value] }
        return arguments
    }
}
