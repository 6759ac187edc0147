internal import GRDB
import SluiceBytes
import SluicePipeline

/// What `add` did with a request.
package struct AddedTransfer: Sendable, Hashable {
    /// What became of it.
    package enum Way: String, Sendable {
        /// A new row.
        case new
        /// An unfinished row of the same source, target and settings goes on.
        case resumed
        /// Another worker has such a row under way.
        case underWay
    }

    /// The row.
    package var id: TransferID
    /// Which way it came.
    package var way: Way
}

/// Entry into the queue.
extension StateStore {
    /// Rows of one transaction: enough to share its syncs, few enough not to keep other processes out for long.
    private static let addBatch = 2_000

    /// Starts a job. Add its transfers as they are listed, then `endListing`.
    ///
    /// - Parameter command: what the user typed, redacted; for showing only.
    package func createJob(command: String, priority: Int = 0) async throws -> JobID {
        try await commits.perform { [clock] db in
            try db.run(
                "INSERT INTO job (created, command, priority, state) VALUES (?, ?, ?, 'listing')",
                [clock.now(), command, Rank.clamped(priority)]
            )
            return JobID(db.lastInsertedRowID)
        }
    }

    /// Notes that the job's transfers are all in the queue.
    package func endListing(_ job: JobID) async throws {
        try await commits.perform { db in
            _ = try db.run("UPDATE job SET state = 'listed' WHERE id = ?", [job.value])
        }
    }

    /// Adds requests to a job, durably, in as many transactions as their number asks for.
    ///
    /// An unfinished transfer of the same source, target and settings is taken up instead: it moves to this job, and
    /// waits no longer for time, person or user. A new row inherits the journal of the last one that failed.
    ///
    /// - Throws: `.usage` for a location with a NUL byte or with a password: the state file holds no secrets.
    package func add(_ requests: [TransferRequest], to job: JobID) async throws -> [AddedTransfer] {
        for request in requests { try Self.check(request) }
        var added: [AddedTransfer] = []
        added.reserveCapacity(requests.count)
        for start in stride(from: 0, to: requests.count, by: Self.addBatch) {
            let batch = requests[start..<min(start + Self.addBatch, requests.count)]
            added += try await commits.perform { [clock] db in
                guard let row = try db.row("SELECT priority FROM job WHERE id = ?", [job.value]) else {
                    throw SluiceError(.internalFault, "there is no job \(job)")
                }
                let entry = QueueEntry(job: job, priority: try row.required("priority"), now: clock.now(), db: db)
                return try batch.map { try entry.add($0) }
            }
        }
        return added
    }

    /// Adds a whole job.
    package func add(
        _ requests: [TransferRequest],
        command: String,
        priority: Int = 0
    ) async throws -> (job: JobID, transfers: [AddedTransfer]) {
        let job = try await createJob(command: command, priority: priority)
        let transfers = try await add(requests, to: job)
        try await endListing(job)
        return (job, transfers)
    }

    /// SQLite's text ends at a NUL for some of its functions, and two keys must never become one.
    private static func check(_ request: TransferRequest) throws {
        let texts = [request.source, request.target, request.settings, request.host] + request.alternates
        for text in texts where text.utf8.contains(0) {
            throw SluiceError(.usage, object: Printable.text(text), "a location with a NUL byte cannot be queued")
        }
        for text in [request.source, request.target] + request.alternates where hasPassword(text) {
            throw SluiceError(.usage, "a location with a password cannot be queued: the state file holds no secrets")
        }
    }

    /// `scheme://user:password@host`.
    private static func hasPassword(_ location: String) -> Bool {
        let bytes = Array(location.utf8)
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")),
            bytes[(colon + 1)...].starts(with: Array("//".utf8))
        else { return false }
        let authority = bytes[(colon + 3)...].prefix { ![UInt8(ascii: "/"), UInt8(ascii: "?")].contains($0) }
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { return false }
        return authority[..<at].contains(UInt8(ascii: ":"))
    }
}

/// One request's way into the queue.
private struct QueueEntry {
    let job: JobID
    let priority: Int
    let now: Int64
    let db: Database

    func add(_ request: TransferRequest) throws -> AddedTransfer {
        let known = try db.row(
            """
            SELECT id, state FROM transfer INDEXED BY transfer_unfinished
            WHERE source = ? AND target = ? AND settings = ? AND finished_at IS NULL
            """,
            [request.source, request.target, request.settings]
        )
        if let known { return try takeUp(known, request) }
        return AddedTransfer(id: try insert(request), way: .new)
    }

    /// Rank moves with the priority; the time of entry stays.
    private func takeUp(_ row: Row, _ request: TransferRequest) throws -> AddedTransfer {
        let id: Int64 = try row.required("id")
        let state: String = try row.required("state")
        try db.run(
            """
            UPDATE transfer SET job = :job, rank = rank + (priority - :priority) * \(Rank.ageStep),
                priority = :priority, wanted = NULL,
                state = CASE state WHEN 'running' THEN 'running' ELSE 'queued' END,
                attempts = CASE state WHEN 'running' THEN attempts ELSE 0 END,
                deaths = 0, not_before = NULL, overwrite = :overwrite, expected_sha256 = :expected,
                needs_command = :needs, host = :host, size = coalesce(:size, size), listed_etag = :etag,
                listed_modified = :modified, listed_at = :listed_at, fan_out = :fan_out, alternates = :alternates
            WHERE id = :id
            """,
            try arguments(request, ["id": id])
        )
        return AddedTransfer(id: TransferID(id), way: state == "running" ? .underWay : .resumed)
    }

    private func insert(_ request: TransferRequest) throws -> TransferID {
        try db.run(
            """
            INSERT INTO transfer (job, source, target, settings, host, overwrite, expected_sha256, needs_command,
                size, listed_etag, listed_modified, listed_at, fan_out, alternates, state, priority, rank, added_at)
            VALUES (:job, :source, :target, :settings, :host, :overwrite, :expected, :needs,
                :size, :etag, :modified, :listed_at, :fan_out, :alternates, 'queued', :priority, :rank, :now)
            """,
            try arguments(
                request,
                [
                    "source": request.source, "target": request.target, "settings": request.settings,
                    "rank": Rank.at(now, priority: priority), "now": now,
                ]
            )
        )
        let id = TransferID(db.lastInsertedRowID)
        try inherit(id, request)
        return id
    }

    private func arguments(
        _ request: TransferRequest,
        _ more: [String: (any DatabaseValueConvertible)?]
    ) throws -> StatementArguments {
        let common: [String: (any DatabaseValueConvertible)?] = [
            "job": job.value, "priority": priority, "overwrite": request.overwrite.rawValue,
            "expected": request.expectedSHA256, "needs": request.needsCommand ? 1 : 0, "host": request.host,
            "size": request.size.map { Int64(clamping: $0) }, "etag": request.listed?.etag,
            "modified": request.listed?.modified, "listed_at": request.listed?.at, "fan_out": request.fanOut,
            "alternates": try AlternatesText.encode(request.alternates),
        ]
        return StatementArguments(common.merging(more) { _, new in new })
    }

    /// The journal of the last row that ended without success: interrupted work goes on.
    private func inherit(_ id: TransferID, _ request: TransferRequest) throws {
        let row = try db.row(
            """
            SELECT transfer.id FROM transfer INDEXED BY transfer_finished
            JOIN journal ON journal.transfer = transfer.id
            WHERE source = ? AND target = ? AND settings = ? AND finished_at IS NOT NULL
            ORDER BY transfer.id DESC LIMIT 1
            """,
            [request.source, request.target, request.settings]
        )
        guard let old: Int64 = row?.optional("id") else { return }
        for table in ["journal", "part", "hashed_part"] {
            try db.run("UPDATE \(table) SET transfer = ? WHERE transfer = ?", [id.value, old])
        }
    }
}
