internal import GRDB
import SluiceBytes
import SluicePipeline
import Synchronization

/// The only way to change the state file: gathers mutations into shared transactions.
///
/// While one transaction is being synced to the disk the next ones gather, and all of them share the following sync:
/// a thousand small files that end together cost a few syncs, a single one waits for nobody (`GatherPolicy`). A
/// mutation runs in its own savepoint, so one that throws fails alone; every caller resumes when its transaction is
/// durable.
final class CommitQueue: Sendable {
    private struct State {
        var waiting: [any PendingMutation] = []
        var isDraining = false
        var policy = GatherPolicy()
    }

    /// Most mutations of one transaction: bounds how long other processes are kept out.
    private static let batchLimit = 1_000

    private let database: DatabaseQueue
    private let path: String
    private let state = Mutex(State())
    private let gathered = GatherSignal()
    private let committed = Atomic<Int>(0)

    init(_ database: DatabaseQueue, path: String) {
        self.database = database
        self.path = path
    }

    /// How many transactions were committed.
    var transactionCount: Int { committed.load(ordering: .relaxed) }

    /// Runs `body` in a transaction that others may share, and returns once that is durable.
    ///
    /// Not cancellable: what was asked for is written, and the caller knows its outcome.
    @discardableResult
    func perform<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                enqueue(Mutation(body, continuation))
            }
        } catch {
            throw StateFault.from(error, path: path)
        }
    }

    private func enqueue(_ mutation: any PendingMutation) {
        let (starts, isEnough) = state.withLock { state in
            state.waiting.append(mutation)
            defer { state.isDraining = true }
            return (!state.isDraining, state.waiting.count >= state.policy.wanted)
        }
        if starts { scheduleDrain() } else if isEnough { gathered.signal() }
    }

    /// One batch per turn of the database's serial queue, so that readers of this process get their turn between two.
    private func scheduleDrain() {
        database.asyncWriteWithoutTransaction { [self] db in
            gather()
            let batch = state.withLock { state in
                let batch = Array(state.waiting.prefix(Self.batchLimit))
                state.waiting.removeFirst(batch.count)
                state.policy.carried(batch.count)
                return batch
            }
            let failure = commit(batch, db)
            for mutation in batch { mutation.settle(failure) }
            let goesOn = state.withLock { state in
                state.isDraining = !state.waiting.isEmpty
                return state.isDraining
            }
            if goesOn { scheduleDrain() }
        }
    }

    /// Readers wait along, on the same queue: not for long.
    private func gather() {
        let wanted = state.withLock { $0.policy.wanted }
        gathered.gather(wanted, patience: GatherPolicy.patience) { state.withLock { $0.waiting.count } }
    }

    /// Returns what made the whole transaction fail, if anything did.
    private func commit(_ batch: [any PendingMutation], _ db: Database) -> (any Error)? {
        do {
            try db.inTransaction(.immediate) {
                for mutation in batch {
                    mutation.apply(db)
                    // A full disk or an I/O error makes SQLite roll back everything (sqlite.org/lang_transaction.html).
                    if !db.isInsideTransaction { throw mutation.ownFailure ?? DatabaseError(resultCode: .SQLITE_ABORT) }
                }
                CrashPoint.step()
                return .commit
            }
        } catch {
            return error
        }
        CrashPoint.step()
        committed.add(1, ordering: .relaxed)
        return nil
    }
}

/// A mutation whose caller waits, without its type.
private protocol PendingMutation: Sendable {
    func apply(_ db: Database)
    func settle(_ failure: (any Error)?)
    var ownFailure: (any Error)? { get }
}

/// A mutation whose caller waits.
private final class Mutation<Value: Sendable>: PendingMutation {
    private let body: @Sendable (Database) throws -> Value
    private let continuation: CheckedContinuation<Value, any Error>
    private let outcome = Mutex<Result<Value, any Error>?>(nil)

    init(
        _ body: @escaping @Sendable (Database) throws -> Value,
        _ continuation: CheckedContinuation<Value, any Error>
    ) {
        self.body = body
        self.continuation = continuation
    }

    func apply(_ db: Database) {
        let result: Result<Value, any Error>
        do {
            // Not GRDB's inSavepoint: it compiles its statements each time, and there are several for a small file.
            try db.run("SAVEPOINT mutation")
            let value: Value
            do {
                value = try body(db)
            } catch {
                // Where SQLite rolled everything back there is no savepoint any more.
                if db.isInsideTransaction {
                    try db.run("ROLLBACK TO SAVEPOINT mutation")
                    try db.run("RELEASE SAVEPOINT mutation")
                }
                throw error
            }
            try db.run("RELEASE SAVEPOINT mutation")
            result = .success(value)
        } catch {
            result = .failure(error)
        }
        outcome.withLock { $0 = result }
    }

    var ownFailure: (any Error)? {
        outcome.withLock { outcome in
            if case .failure(let error) = outcome { return error }
            return nil
        }
    }

    func settle(_ failure: (any Error)?) {
        if let failure = ownFailure ?? failure { return continuation.resume(throwing: failure) }
        guard let outcome = outcome.withLock({ $0 }) else { preconditionFailure("a committed mutation was applied") }
        continuation.resume(with: outcome)
    }
}
