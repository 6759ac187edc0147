internal import GRDB
import SluiceBytes
import SluicePipeline
import Synchronization

/// The state store: queue, journal, host history and settings in one SQLite file that several processes share.
///
/// A rollback journal with `synchronous=FULL`, not a WAL: SQLite before 3.51.3 can corrupt a WAL database that several
/// processes write and checkpoint (sqlite.org/wal.html#walresetbug), and a command beside a worker is exactly that.
/// The file is the truth; what a method returned is on the disk.
package final class StateStore: Sendable {
    /// How a store is opened.
    package struct Options: Sendable {
        /// Dates and delays.
        package var time: any TimeSource
        /// Leases.
        package var leases: LeaseClock
        /// A claim is another's for the taking when its worker was not heard of for so long.
        package var leaseLength: Duration
        /// Tells where a directory is.
        package var fileSystem: @Sendable (String) throws -> FileSystemKind

        package init(
            time: any TimeSource = SystemTime(),
            leases: LeaseClock = .system,
            leaseLength: Duration = .seconds(30),
            fileSystem: @escaping @Sendable (String) throws -> FileSystemKind = { try FileSystemKind.of($0) }
        ) {
            self.time = time
            self.leases = leases
            self.leaseLength = leaseLength
            self.fileSystem = fileSystem
        }
    }

    /// The state file.
    package let path: String

    let commits: CommitQueue
    let registry: WorkerRegistry
    let clock: StoreClock
    let leases: LeaseClock
    let leaseLength: Int64
    private let database: DatabaseQueue
    private let booking: Mutex<String?>

    /// Opens the state file, and makes it where there is none. Blocks while it does: once, at the start of a program.
    ///
    /// - Throws: `.state` when the file is damaged, of a newer Sluice, of another program, or on a shared file system;
    ///   nothing was changed then.
    package init(_ location: StateLocation, options: Options = Options()) throws {
        path = location.path
        clock = StoreClock(options.time)
        leases = options.leases
        leaseLength = options.leaseLength.milliseconds
        let booked = try OpenStateFiles.enter(location.path)
        do {
            try location.prepare(fileSystem: options.fileSystem)
            registry = try WorkerRegistry(directory: location.workers)
            database = try StateOpening.open(location, registry: registry, now: clock.now())
        } catch {
            OpenStateFiles.leave(booked)
            throw StateFault.from(error, path: location.path)
        }
        commits = CommitQueue(database, path: location.path)
        booking = Mutex(booked)
    }

    /// How many transactions this store has committed: group commit keeps it far below the number of changes.
    package var transactionCount: Int { commits.transactionCount }

    /// This process's name in the state file.
    package var workerName: String { registry.name }

    /// Reads, on the database's own thread and in one snapshot.
    ///
    /// Not by GRDB's `read`: it sets `PRAGMA query_only` and takes it back, and after either SQLite compiles every
    /// statement anew (OP_Expire, behind each flag pragma in SQLite's pragma.c).
    func read<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await database.writeWithoutTransaction { db in
                var value: Value?
                try db.inTransaction(.deferred) {
                    value = try body(db)
                    return .commit
                }
                guard let value else { preconditionFailure("a transaction that was committed ran its body") }
                return value
            }
        } catch {
            throw StateFault.from(error, path: path)
        }
    }

    /// Closes the file in order. Claims still held are void from now on. The store is of no use afterwards.
    package func close() throws {
        do {
            try database.close()
        } catch {
            throw StateFault.from(error, path: path)
        }
        registry.leave()
        leaveBooking()
    }

    private func leaveBooking() {
        let booked = booking.withLock { booked in
            defer { booked = nil }
            return booked
        }
        if let booked { OpenStateFiles.leave(booked) }
    }

    deinit {
        leaveBooking()
    }
}
