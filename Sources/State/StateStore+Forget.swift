internal import GRDB
import SluicePipeline

/// Ended transfers that the user wants to see no more.
extension StateStore {
    /// Removes those that ended, and jobs that have none left; returns how many transfers.
    package func forget(_ selection: TransferSelection, isDryRun: Bool) async throws -> Int {
        var forgotten = 0
        var last: Int64 = 0
        while true {
            let page = try await commits.perform { [last] db in
                let ids = try selection.page(after: last, limit: 5_000, db)
                let count = try ids.reduce(0) { try $0 + Self.forget($1, isDryRun: isDryRun, db) }
                return (last: ids.last, count: count)
            }
            guard let end = page.last else { break }
            forgotten += page.count
            last = end
        }
        if !isDryRun, forgotten > 0 {
            try await commits.perform { db in
                _ = try db.run(
                    """
                    DELETE FROM job WHERE state = 'listed'
                        AND NOT EXISTS (SELECT 1 FROM transfer WHERE transfer.job = job.id)
                    """
                )
            }
        }
        return forgotten
    }

    private static func forget(_ id: Int64, isDryRun: Bool, _ db: Database) throws -> Int {
        guard isDryRun else {
            return try db.run("DELETE FROM transfer WHERE id = ? AND finished_at IS NOT NULL", [id])
        }
        return try db.row("SELECT 1 FROM transfer WHERE id = ? AND finished_at IS NOT NULL", [id]) == nil ? 0 : 1
    }
}
