internal import GRDB
import SluicePipeline

/// What is remembered of a host beyond one process.
package struct HostHistory: Sendable, Hashable {
    /// The host, as `TransferRequest.host` names it.
    package var host: String
    /// Failures since the last success.
    package var failures: Int
    /// The code of the last failure.
    package var lastError: SluiceError.Code?
    /// When it failed last, milliseconds since 1970.
    package var failedAt: Int64?
    /// When a transfer last succeeded, milliseconds since 1970.
    package var succeededAt: Int64?

    init(_ row: Row) throws {
        host = try row.required("host")
        failures = try row.required("failures")
        lastError = (row.optional("last_error") as String?).map { SluiceError.Code(rawValue: $0) }
        failedAt = row.optional("failed_at")
        succeededAt = row.optional("succeeded_at")
    }

    static func succeeded(_ host: String, now: Int64, _ db: Database) throws {
        try db.run(
            """
            INSERT INTO host (host, failures, succeeded_at) VALUES (?, 0, ?)
            ON CONFLICT (host) DO UPDATE SET failures = 0, succeeded_at = excluded.succeeded_at
            """,
            [host, now]
        )
    }

    static func failed(_ host: String, _ code: SluiceError.Code, now: Int64, _ db: Database) throws {
        try db.run(
            """
            INSERT INTO host (host, failures, last_error, failed_at) VALUES (?, 1, ?, ?)
            ON CONFLICT (host) DO UPDATE SET failures = failures + 1, last_error = excluded.last_error,
                failed_at = excluded.failed_at
            """,
            [host, code.rawValue, now]
        )
    }
}

extension StateStore {
    /// The history of a host; nil if nothing ended there yet.
    package func history(of host: String) async throws -> HostHistory? {
        try await read { db in
            try db.row("SELECT * FROM host WHERE host = ?", [host]).map { try HostHistory($0) }
        }
    }
}
