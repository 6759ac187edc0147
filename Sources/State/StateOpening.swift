internal import GRDB
import SluiceBytes
import SluicePipeline

/// What is asked of a state file before anyone relies on it.
enum StateOpening {
    /// Opens the file, makes or checks its tables, and voids the claims of dead processes.
    static func open(_ location: StateLocation, registry: WorkerRegistry, now: Int64) throws -> DatabaseQueue {
        do {
            let database = try DatabaseQueue(path: location.path, configuration: configuration())
            let dead = registry.dead()
            try database.writeWithoutTransaction { db in
                try checkIdentity(db, location)
                try setJournal(db, location)
                if !dead.isEmpty { try checkPages(db, location) }
                try db.inTransaction(.immediate) {
                    // A worker may have died before it made the tables: then there is nothing to miss.
                    if try number(db, "PRAGMA user_version") == 0 {
                        try makeTables(db)
                    } else if !dead.isEmpty {
                        try checkLength(db, location)
                    }
                    for worker in dead { try Leases.void(worker, now: now, db) }
                    CrashPoint.step()
                    return .commit
                }
                CrashPoint.step()
            }
            try location.markMade()
            registry.remove(dead)
            return database
        } catch {
            registry.leave()
            throw error
        }
    }

    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.label = "sluice.state"
        configuration.busyMode = .timeout(10)
        configuration.foreignKeysEnabled = true
        configuration.prepareDatabase { db in
            try db.execute(
                sql: """
                    PRAGMA trusted_schema = OFF;
                    PRAGMA cell_size_check = ON;
                    PRAGMA synchronous = FULL;
                    """
            )
        }
        return configuration
    }

    /// Refuses what is not ours before anything is written to it.
    private static func checkIdentity(_ db: Database, _ location: StateLocation) throws {
        let application = try number(db, "PRAGMA application_id")
        let version = try number(db, "PRAGMA user_version")
        let tables = try number(db, "SELECT count(*) FROM sqlite_master")
        if application == 0, version == 0, tables == 0 { return }
        guard application == Schema.applicationID else {
            throw SluiceError(
                .state,
                object: location.path,
                "not a state file of Sluice: application id \(application), not \(Schema.applicationID)",
                remedy: "name another file with --state"
            )
        }
        if version > Schema.version {
            throw SluiceError(
                .state,
                object: location.path,
                "the state file is of a newer Sluice: version \(version), this program knows \(Schema.version)",
                remedy: "use the newer program, or another file with --state"
            )
        }
        if version > 0, version < Schema.version, tables > 0 {
            throw SluiceError(
                .state,
                object: location.path,
                "the state file is of an older Sluice: version \(version), this program knows \(Schema.version)",
                remedy: "finish its queue with the older program, then move it aside with `sluice queue move-aside`, "
                    + "or use another file with --state"
            )
        }
        guard version == Schema.version, tables > 0 else {
            throw StateFault.corrupt(location.path, "version \(version) with \(tables) tables and indexes")
        }
    }

    private static func setJournal(_ db: Database, _ location: StateLocation) throws {
        let mode = try String.fetchOne(db, sql: "PRAGMA journal_mode = TRUNCATE")
        let synchronous = try number(db, "PRAGMA synchronous")
        guard mode == "truncate", synchronous == 2 else {
            throw SluiceError(
                .state,
                object: location.path,
                "SQLite does not take the safe settings: journal \(mode ?? "unknown"), synchronous \(synchronous)"
            )
        }
    }

    /// After an unclean stop every page is looked at (sqlite.org/pragma.html#pragma_quick_check).
    private static func checkPages(_ db: Database, _ location: StateLocation) throws {
        let findings = try String.fetchAll(db, sql: "PRAGMA quick_check(3)")
        if findings != ["ok"] { throw StateFault.corrupt(location.path, findings.joined(separator: "; ")) }
    }

    /// SQLite reads what is missing of the last page as zeros. Within the transaction, because nobody else changes the
    /// length then.
    private static func checkLength(_ db: Database, _ location: StateLocation) throws {
        let expected = try number(db, "PRAGMA page_size") * number(db, "PRAGMA page_count")
        let found: UInt64
        do {
            found = try FileStatus(Array(location.path.utf8), following: true).size
        } catch {
            throw StateFault.system(error.call, location.path, error.number)
        }
        // Empty: whoever made it died before the first transaction (one that was cut to nothing is known by its mark).
        // Pages that were allocated beyond the database's end belong to nobody and are left to SQLite.
        guard found > 0, found < UInt64(clamping: expected) else { return }
        throw StateFault.corrupt(location.path, "the file has \(found) bytes of \(expected)")
    }

    /// Within the transaction, because two processes may find the same empty file.
    private static func makeTables(_ db: Database) throws {
        for statement in Schema.statements { try db.execute(sql: statement) }
    }

    private static func number(_ db: Database, _ sql: String) throws -> Int64 {
        try Int64.fetchOne(db, sql: sql) ?? 0
    }
}
