internal import GRDB
import SluicePipeline

/// What the user says to the queue. Every method returns how many transfers it concerned.
extension StateStore {
    private static let page = 5_000

    /// Holds what has not ended. A running transfer's worker hears of it with its next heartbeat.
    @discardableResult
    package func pause(_ selection: TransferSelection) async throws -> Int {
        try await change(
            selection,
            """
            UPDATE transfer SET
                wanted = CASE state WHEN 'running' THEN 'paused' END,
                state = CASE state WHEN 'running' THEN 'running' ELSE 'paused' END,
                not_before = NULL
            WHERE id = :id AND state IN ('queued', 'running', 'delayed', 'parked') AND wanted IS NOT 'cancelled'
            """
        )
    }

    /// Lets go what was held by the user, or waits for one.
    @discardableResult
    package func resume(_ selection: TransferSelection) async throws -> Int {
        try await change(
            selection,
            """
            UPDATE transfer SET state = CASE state WHEN 'running' THEN 'running' ELSE 'queued' END,
                wanted = NULL, deaths = 0
            WHERE id = :id AND (state IN ('paused', 'parked') OR (state = 'running' AND wanted = 'paused'))
            """
        )
    }

    /// Ends what has not ended. A running transfer ends with its worker's next heartbeat, or is done if that is sooner.
    @discardableResult
    package func cancel(_ selection: TransferSelection) async throws -> Int {
        try await change(
            selection,
            """
            UPDATE transfer SET
                wanted = CASE state WHEN 'running' THEN 'cancelled' END,
                finished_at = CASE state WHEN 'running' THEN NULL ELSE :now END,
                state = CASE state WHEN 'running' THEN 'running' ELSE 'cancelled' END,
                not_before = NULL
            WHERE id = :id AND state IN ('queued', 'running', 'delayed', 'paused', 'parked')
            """
        )
    }

    /// Queues what failed, was cancelled, or waits for its next attempt, with a fresh budget. A row whose source and
    /// target were added again since is left alone (OR IGNORE: the unfinished row is unique).
    @discardableResult
    package func retry(_ selection: TransferSelection) async throws -> Int {
        try await change(
            selection,
            """
            UPDATE OR IGNORE transfer SET state = 'queued', attempts = 0, deaths = 0, not_before = NULL,
                finished_at = NULL, error_code = NULL, error_message = NULL, error_remedy = NULL, listed_etag = NULL
            WHERE id = :id AND state IN ('failed', 'cancelled', 'delayed', 'parked')
            """
        )
    }

    /// Gives another priority to what has not ended.
    @discardableResult
    package func setPriority(_ priority: Int, of selection: TransferSelection) async throws -> Int {
        try await change(
            selection,
            """
            UPDATE transfer SET rank = rank + (priority - :priority) * \(Rank.ageStep), priority = :priority
            WHERE id = :id AND finished_at IS NULL
            """,
            ["priority": Rank.clamped(priority)]
        )
    }

    private func change(
        _ selection: TransferSelection,
        _ sql: String,
        _ values: [String: Int] = [:]
    ) async throws -> Int {
        var changed = 0
        var last: Int64 = 0
        while true {
            let page = try await commits.perform { [clock, last] db in
                let ids = try selection.page(after: last, limit: Self.page, db)
                var arguments: StatementArguments = ["now": clock.now()]
                arguments += StatementArguments(values)
                let changed = try ids.reduce(0) { try $0 + db.run(sql, arguments &+ ["id": $1]) }
                return (last: ids.last, changed: changed)
            }
            guard let end = page.last else { return changed }
            changed += page.changed
            last = end
        }
    }
}
