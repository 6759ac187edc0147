/// The tables of one version, as SQL. Any change of a statement takes a new version and a step that leads to it.
enum Schema {
    /// "SLUC": tells our file from other programs' SQLite files (sqlite.org/pragma.html#pragma_application_id).
    static let applicationID: Int64 = 0x534C_5543

    /// `PRAGMA user_version`.
    static let version: Int64 = 4

    /// STRICT, because a value of the wrong type is a fault to find, not to convert.
    static let statements: [String] = [
        """
        CREATE TABLE job (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            created INTEGER NOT NULL,
            command TEXT NOT NULL,
            priority INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('listing', 'listed'))
        ) STRICT
        """,
        // AUTOINCREMENT: an id that was pruned never comes back, so a stale claim cannot meet a foreign row.
        """
        CREATE TABLE transfer (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            job INTEGER NOT NULL REFERENCES job (id),
            source TEXT NOT NULL,
            target TEXT NOT NULL,
            settings TEXT NOT NULL,
            host TEXT NOT NULL,
            overwrite TEXT NOT NULL,
            expected_sha256 TEXT,
            needs_command INTEGER NOT NULL,
            size INTEGER,
            listed_etag TEXT,
            listed_modified INTEGER,
            listed_at INTEGER,
            fan_out INTEGER,
            alternates TEXT NOT NULL,
            state TEXT NOT NULL CHECK (state IN
                ('queued', 'running', 'delayed', 'paused', 'parked', 'done', 'skipped', 'failed', 'cancelled')),
            wanted TEXT CHECK (wanted IN ('paused', 'cancelled')),
            priority INTEGER NOT NULL,
            rank INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            deaths INTEGER NOT NULL DEFAULT 0,
            not_before INTEGER,
            fence INTEGER NOT NULL DEFAULT 0,
            owner TEXT,
            boot TEXT,
            lease_until INTEGER,
            moved INTEGER NOT NULL DEFAULT 0,
            error_code TEXT,
            error_message TEXT,
            error_remedy TEXT,
            proof TEXT,
            sha256 BLOB,
            pin TEXT,
            fingerprint TEXT,
            note TEXT,
            added_at INTEGER NOT NULL,
            finished_at INTEGER
        ) STRICT
        """,
        """
        CREATE UNIQUE INDEX transfer_unfinished ON transfer (source, target, settings) WHERE finished_at IS NULL
        """,
        "CREATE INDEX transfer_finished ON transfer (source, target, id) WHERE finished_at IS NOT NULL",
        "CREATE INDEX transfer_content ON transfer (sha256) WHERE sha256 IS NOT NULL AND state = 'done'",
        "CREATE INDEX transfer_ended ON transfer (finished_at) WHERE finished_at IS NOT NULL",
        "CREATE INDEX transfer_runnable ON transfer (host, rank) WHERE state = 'queued' AND needs_command = 0",
        "CREATE INDEX transfer_job_runnable ON transfer (job, host, rank) WHERE state = 'queued'",
        """
        CREATE INDEX transfer_fan_out ON transfer (job, fan_out) WHERE state = 'queued' AND fan_out IS NOT NULL
        """,
        "CREATE INDEX transfer_running ON transfer (owner) WHERE state = 'running'",
        "CREATE INDEX transfer_delayed ON transfer (not_before) WHERE state = 'delayed'",
        "CREATE INDEX transfer_job ON transfer (job)",
        """
        CREATE TABLE journal (
            transfer INTEGER PRIMARY KEY REFERENCES transfer (id) ON DELETE CASCADE,
            pin TEXT NOT NULL,
            part_size INTEGER NOT NULL,
            size INTEGER,
            session BLOB,
            committing INTEGER NOT NULL DEFAULT 0,
            commit_digest BLOB,
            digest_state BLOB,
            digest_offset INTEGER NOT NULL DEFAULT 0
        ) STRICT
        """,
        """
        CREATE TABLE part (
            transfer INTEGER NOT NULL REFERENCES transfer (id) ON DELETE CASCADE,
            idx INTEGER NOT NULL,
            lower INTEGER NOT NULL,
            upper INTEGER NOT NULL,
            tag TEXT NOT NULL,
            crc32c BLOB,
            digests TEXT NOT NULL,
            PRIMARY KEY (transfer, idx)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE hashed_part (
            transfer INTEGER NOT NULL REFERENCES transfer (id) ON DELETE CASCADE,
            idx INTEGER NOT NULL,
            crc32c BLOB NOT NULL,
            PRIMARY KEY (transfer, idx)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE host (
            host TEXT PRIMARY KEY,
            failures INTEGER NOT NULL,
            last_error TEXT,
            failed_at INTEGER,
            succeeded_at INTEGER
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
        "PRAGMA application_id = \(applicationID)",
        "PRAGMA user_version = \(version)",
    ]
}
