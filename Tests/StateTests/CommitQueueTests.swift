import GRDB
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceState

@Suite("Group commit", .timeLimit(.minutes(10)))
struct CommitQueueTests {
    private let directory: StateDirectory
    private let store: StateStore

    init() throws {
        directory = try StateDirectory()
        store = try directory.open()
    }

    @Test("lets 1,000 transfers that end together share far fewer transactions")
    func shares() async throws {
        _ = try await store.add((0..<1_000).map { .numbered($0) }, command: "small files")
        let claims = try await store.claim(1_000)
        let before = store.transactionCount
        try await withThrowingTaskGroup(of: Void.self) { group in
            for claim in claims { group.addTask { try await store.finish(claim, .done()) } }
            try await group.waitForAll()
        }
        #expect(store.transactionCount - before < 20)
        #expect(try await store.summary()[.done]?.count == 1_000)
    }

    @Test("fails a stale claim alone, and keeps what shares its transaction")
    func failsAlone() async throws {
        _ = try await store.add((0..<40).map { .numbered($0) }, command: "mixed")
        let claims = try await store.claim(40)
        let stale = Array(claims.filter { $0.id.value.isMultiple(of: 2) })
        try await store.release(stale)
        let failures = await withTaskGroup(of: Bool.self) { group in
            for claim in claims {
                group.addTask { await codeThrown { try await store.finish(claim, .done()) } == .superseded }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(failures == 20)
        let summary = try await store.summary()
        #expect(summary[.done]?.count == 20)
        #expect(summary[.queued]?.count == 20)
    }

    @Test("undoes what a mutation wrote before it failed")
    func savepoint() async throws {
        let code = await codeThrown {
            try await store.commits.perform { db in
                try db.execute(sql: "INSERT INTO setting (key, value) VALUES ('half', 'done')")
                throw SluiceError(.limit, "no")
            }
        }
        #expect(code == .limit)
        #expect(try await store.settings().isEmpty)
    }

    @Test("tells SQLite's own errors in its words, with the file's path")
    func errors() async throws {
        do {
            try await store.commits.perform { db in try db.execute(sql: "INSERT INTO job (id) VALUES (1)") }
            Issue.record("a row without its columns was taken")
        } catch let error as SluiceError {
            #expect(error.code == .state)
            #expect(error.object == directory.path + "/state.db")
        }
    }
}

@Suite("The plans of the queue's statements", .timeLimit(.minutes(10)))
struct PlanTests {
    /// The statements of a worker's round, each asked for its plan: with a million rows a scan is a fault.
    @Test("use an index wherever they touch the transfers")
    func plans() async throws {
        let directory = try StateDirectory()
        let store = try directory.open()
        let statements = StatementLog()
        _ = try await store.add((0..<3).map { .numbered($0) }, command: "test")
        try await store.commits.perform { db in
            db.trace { event in
                if case .statement(let statement) = event { statements.append(statement.sql) }
            }
        }
        let job = try await store.add([.numbered(0), .numbered(9)], command: "test").job
        var claims = try await store.claim(1, job: job)
        claims += try await store.claim(2)
        try await store.journal(of: claims[0]).begin(pin: .weak(size: nil, modified: nil), size: nil, partSize: 1)
        _ = try await store.heartbeat(claims)
        _ = try await store.outlook(job: nil)
        _ = try await store.outlook(job: job)
        try await store.finish(claims[0], .done())
        try await store.fail(claims[1], SluiceError(.network, "x"), retryAfter: .seconds(1))
        try await store.release(Array(claims[2...]))
        _ = try await store.lastDone(source: "a", target: "b", settings: "{}")
        try await store.prune(olderThan: .seconds(1))
        let plans = try await store.read { [sql = statements.all] db in
            var plans: [String] = []
            for statement in sql {
                let prepared = try db.makeStatement(sql: "EXPLAIN QUERY PLAN " + statement)
                for row in try Row.fetchAll(prepared, arguments: arguments(of: prepared)) {
                    plans.append("\(row["detail"] as String? ?? "") <- \(statement)")
                }
            }
            return plans
        }
        #expect(plans.count > 30)
        let scans = plans.filter { $0.hasPrefix("SCAN transfer") && !$0.contains("INDEX transfer_running") }
        #expect(scans.filter { !$0.contains("LIMIT 10000") } == [])
        try store.close()
    }

    private func arguments(of statement: Statement) -> StatementArguments {
        let text = statement.sql
        var named: [String: Int] = [:]
        for word in text.split(whereSeparator: { !($0.isLetter || $0.isNumber || $0 == ":" || $0 == "_") })
        where word.hasPrefix(":") {
            named[String(word.dropFirst())] = 1
        }
        let positional = text.count(where: { $0 == "?" })
        return named.isEmpty
            ? StatementArguments([Int](repeating: 1, count: positional)) : StatementArguments(named)
    }
}

/// The statements that a connection ran, each once.
private final class StatementLog: Sendable {
    private let statements = Mutex<Set<String>>([])

    func append(_ sql: String) {
        let isData = ["SELECT", "UPDATE", "INSERT", "DELETE"].contains { sql.hasPrefix($0) }
        if isData { statements.withLock { _ = $0.insert(sql) } }
    }

    var all: [String] { statements.withLock { $0.sorted() } }
}
