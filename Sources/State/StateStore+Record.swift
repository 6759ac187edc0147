import FoundationEssentials
internal import GRDB
import SluiceBytes
import SluicePipeline

/// What outlives a transfer, and what is cleared away.
extension StateStore {
    /// The last success of the same source, target and settings; nil if there is none whose version is known.
    package func lastDone(source: String, target: String, settings: String) async throws -> DoneRecord? {
        try await read { db in
            let row = try db.row(
                """
                SELECT pin, sha256, fingerprint, size FROM transfer INDEXED BY transfer_finished
                WHERE source = ? AND target = ? AND settings = ? AND finished_at IS NOT NULL
                    AND state = 'done' AND pin IS NOT NULL
                ORDER BY id DESC LIMIT 1
                """,
                [source, target, settings]
            )
            guard let row, let pin = PinText.decode(try row.required("pin")), let size = row.byteCount("size") else {
                return nil
            }
            return DoneRecord(
                pin: pin,
                sha256: row.bytes("sha256").flatMap { Digest(.sha256, bytes: $0) },
                fingerprint: try row.required("fingerprint"),
                size: size
            )
        }
    }

    /// Where transfers have stored content with this SHA-256, the latest first. Objects of a server only if they were
    /// written with the same settings: another endpoint may have a bucket of the same name.
    package func stored(_ digest: Digest, settings: String) async throws -> [StoredObject] {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT target, size, fingerprint, settings FROM transfer INDEXED BY transfer_content
                WHERE sha256 = ? AND sha256 IS NOT NULL AND state = 'done' ORDER BY id DESC LIMIT 16
                """,
                [Data(digest.bytes)]
            )
            return try rows.compactMap { row in
                let target: String = try row.required("target")
                let isLocal = target.hasPrefix("/") || target.hasPrefix("file:")
                guard let size = row.byteCount("size"), try isLocal || row.required("settings") == settings else {
                    return nil
                }
                return StoredObject(
                    location: target,
                    size: size,
                    fingerprint: try row.required("fingerprint"),
                    recordedSHA256: digest
                )
            }
        }
    }

    /// What transfers have stored at a place of this machine or below it, the latest first.
    package func stored(below place: String) async throws -> [StoredObject] {
        try await read { db in
            // One pass over the table: an index by target would cost every transfer, and this is asked once a run.
            let rows = try db.rows(
                """
                SELECT target, size, fingerprint, sha256 FROM transfer
                WHERE state = 'done' AND sha256 IS NOT NULL AND substr(target, 1, length(:place)) = :place
                ORDER BY id DESC
                """,
                ["place": place]
            )
            return try rows.compactMap { row in
                guard let size = row.byteCount("size"), let bytes = row.bytes("sha256"),
                    let digest = Digest(.sha256, bytes: bytes)
                else { return nil }
                return StoredObject(
                    location: try row.required("target"),
                    size: size,
                    fingerprint: try row.required("fingerprint"),
                    recordedSHA256: digest
                )
            }
        }
    }

    /// Whether the source, or content with the digest, was ever stored.
    package func hasStored(_ source: String, _ digest: Digest?) async throws -> Bool {
        try await read { db in
            let bySource = try db.row(
                """
                SELECT 1 FROM transfer INDEXED BY transfer_finished
                WHERE source = ? AND finished_at IS NOT NULL AND state = 'done' LIMIT 1
                """,
                [source]
            )
            guard bySource == nil, let digest else { return bySource != nil }
            return try db.row(
                """
                SELECT 1 FROM transfer INDEXED BY transfer_content
                WHERE sha256 = ? AND sha256 IS NOT NULL AND state = 'done' LIMIT 1
                """,
                [Data(digest.bytes)]
            ) != nil
        }
    }

    /// The sink sessions of transfers that have not ended: what a clean-up must leave alone.
    package func unfinishedSessions() async throws -> [(transfer: TransferID, session: [UInt8])] {
        try await read { db in
            let rows = try db.rows(
                """
                SELECT transfer, session FROM journal JOIN transfer ON transfer.id = journal.transfer
                WHERE session IS NOT NULL AND finished_at IS NULL ORDER BY transfer
                """
            )
            return try rows.map { (TransferID(try $0.required("transfer")), $0.bytes("session") ?? []) }
        }
    }

    /// Removes transfers that ended more than `age` ago, and jobs that have none left; returns how many transfers.
    @discardableResult
    package func prune(olderThan age: Duration) async throws -> Int {
        var removed = 0
        while true {
            let batch = try await commits.perform { [clock] db in
                try db.run(
                    """
                    DELETE FROM transfer WHERE id IN (
                        SELECT id FROM transfer INDEXED BY transfer_ended
                        WHERE finished_at IS NOT NULL AND finished_at < ? LIMIT 1000)
                    """,
                    [clock.now() - age.milliseconds]
                )
            }
            removed += batch
            if batch == 0 { break }
        }
        try await commits.perform { [clock] db in
            _ = try db.run(
                """
                DELETE FROM job WHERE created < ? AND NOT EXISTS (SELECT 1 FROM transfer WHERE transfer.job = job.id)
                """,
                [clock.now() - age.milliseconds]
            )
        }
        return removed
    }

    /// A setting that a running worker heeds, such as `bwlimit`; nil if it was not set.
    package func setting(_ key: String) async throws -> String? {
        try await settings()[key]
    }

    /// All settings.
    package func settings() async throws -> [String: String] {
        try await read { db in
            var settings: [String: String] = [:]
            for row in try db.rows("SELECT key, value FROM setting") {
                settings[try row.required("key")] = try row.required("value") as String
            }
            return settings
        }
    }

    /// Sets, or with nil removes, a setting.
    package func set(_ value: String?, for key: String) async throws {
        try await commits.perform { db in
            if let value {
                try db.run("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", [key, value])
            } else {
                try db.run("DELETE FROM setting WHERE key = ?", [key])
            }
        }
    }
}
