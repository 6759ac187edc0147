internal import GRDB
import SluicePipeline

/// Which transfers a user's command is about.
package enum TransferSelection: Sendable {
    /// These rows.
    case transfers([TransferID])
    /// A job's rows.
    case job(JobID)
    /// Every row.
    case all

    /// The next rows of the selection after `last`, in order of entry. Bounds the transaction of a change to all.
    func page(after last: Int64, limit: Int, _ db: Database) throws -> [Int64] {
        let sql: String
        var arguments: StatementArguments = ["last": last, "limit": limit]
        switch self {
        case .transfers(let ids):
            return Array(ids.map(\.value).filter { $0 > last }.sorted().prefix(limit))
        case .job(let job):
            arguments += ["job": job.value]
            sql = "SELECT id FROM transfer WHERE job = :job AND id > :last ORDER BY id LIMIT :limit"
        case .all:
            sql = "SELECT id FROM transfer WHERE id > :last ORDER BY id LIMIT :limit"
        }
        return try db.rows(sql, arguments).map { try $0.required("id") }
    }
}
