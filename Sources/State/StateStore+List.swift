internal import GRDB
import SluiceBytes
import SluicePipeline

/// What people look at.
extension StateStore {
    /// One page of transfers in order of entry.
    ///
    /// - Parameters:
    ///   - states: only of these states; empty: of all.
    ///   - after: the last row of the page before; nil for the first page.
    package func list(
        states: Set<TransferState> = [],
        job: JobID? = nil,
        after: TransferID? = nil,
        limit: Int
    ) async throws -> [TransferRow] {
        try await read { db in
            var conditions = ["id > :after"]
            if job != nil { conditions.append("job = :job") }
            if !states.isEmpty {
                let names = states.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")
                conditions.append("state IN (\(names))")
            }
            let sql = """
                SELECT \(TransferRow.columns) FROM transfer
                WHERE \(conditions.joined(separator: " AND ")) ORDER BY id LIMIT :limit
                """
            let arguments: StatementArguments = ["after": after?.value ?? 0, "job": job?.value, "limit": limit]
            return try db.rows(sql, arguments).map { try TransferRow($0) }
        }
    }

    /// All pages, one in memory at a time.
    package func rows(
        states: Set<TransferState> = [],
        job: JobID? = nil
    ) -> AsyncThrowingStream<TransferRow, any Error> {
        let pages = TransferPages(store: self, states: states, job: job)
        return AsyncThrowingStream { try await pages.next() }
    }

    /// All transfers to a target, whatever became of them.
    package func transfers(to target: String) async throws -> [TransferRow] {
        try await read { db in
            try db.rows("SELECT \(TransferRow.columns) FROM transfer WHERE target = ? ORDER BY id", [target]).map {
                try TransferRow($0)
            }
        }
    }

    /// One transfer; nil if there is none of that id.
    package func transfer(_ id: TransferID) async throws -> TransferRow? { try await transfers([id]).first }

    /// Those of them that are in the queue, in their order.
    package func transfers(_ ids: [TransferID]) async throws -> [TransferRow] {
        try await read { db in
            try ids.compactMap { id in
                try db.row("SELECT \(TransferRow.columns) FROM transfer WHERE id = ?", [id.value]).map {
                    try TransferRow($0)
                }
            }
        }
    }

    /// One page of those of `rows` that are in the queue, in order of entry.
    package func transfers(
        among rows: TransferIDs,
        after: TransferID?,
        limit: Int
    ) async throws -> [TransferRow] {
        let first = (after?.value ?? 0) + 1
        return try await read { db in
            var found: [TransferRow] = []
            for range in rows.ranges where range.upperBound > first && found.count < limit {
                let sql = """
                    SELECT \(TransferRow.columns) FROM transfer
                    WHERE id >= ? AND id < ? ORDER BY id LIMIT ?
                    """
                let arguments: StatementArguments = [
                    max(first, range.lowerBound), range.upperBound, limit - found.count,
                ]
                found += try db.rows(sql, arguments).map { try TransferRow($0) }
            }
            return found
        }
    }

    /// Counts and bytes by state, of a job or of all.
    package func summary(job: JobID? = nil) async throws -> [TransferState: StateSummary] {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT state, count(*) AS n, total(size) AS size, total(moved) AS moved FROM transfer
                \(job == nil ? "" : "WHERE job = :job") GROUP BY state
                """,
                ["job": job?.value]
            )
            var summary: [TransferState: StateSummary] = [:]
            for row in rows {
                let name: String = try row.required("state")
                guard let state = TransferState(rawValue: name) else { continue }
                let size: Double = try row.required("size")
                let moved: Double = try row.required("moved")
                summary[state] = StateSummary(
                    count: try row.required("n"),
                    size: UInt64(exactly: size.rounded()) ?? 0,
                    moved: UInt64(exactly: moved.rounded()) ?? 0
                )
            }
            return summary
        }
    }

    /// The newest jobs first.
    package func jobs(limit: Int) async throws -> [JobRow] {
        try await read { db in
            try db.rows("SELECT * FROM job ORDER BY id DESC LIMIT ?", [limit]).map { row in
                let id: Int64 = try row.required("id")
                let state: String = try row.required("state")
                var counts: [TransferState: Int] = [:]
                let sql = "SELECT state, count(*) AS n FROM transfer WHERE job = ? GROUP BY state"
                for count in try db.rows(sql, [id]) {
                    let name: String = try count.required("state")
                    if let state = TransferState(rawValue: name) { counts[state] = try count.required("n") }
                }
                return JobRow(
                    id: JobID(id),
                    command: try row.required("command"),
                    priority: try row.required("priority"),
                    isListed: state == "listed",
                    created: try row.required("created"),
                    counts: counts
                )
            }
        }
    }
}

/// The place in a listing.
private actor TransferPages {
    private let store: StateStore
    private let states: Set<TransferState>
    private let job: JobID?
    private var page: ArraySlice<TransferRow> = []
    private var last: TransferID?
    private var isOver = false

    init(store: StateStore, states: Set<TransferState>, job: JobID?) {
        self.store = store
        self.states = states
        self.job = job
    }

    func next() async throws -> TransferRow? {
        if page.isEmpty, !isOver {
            let rows = try await store.list(states: states, job: job, after: last, limit: 500)
            last = rows.last?.id ?? last
            isOver = rows.isEmpty
            page = rows[...]
        }
        return page.popFirst()
    }
}
