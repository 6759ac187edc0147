import GRDB
import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceState

/// A lease clock that a test moves.
private final class ManualLeases: Sendable {
    private let milliseconds = Mutex<Int64>(0)

    func advance(by step: Int64) {
        milliseconds.withLock { $0 += step }
    }

    var clock: LeaseClock { LeaseClock(boot: "this boot") { self.milliseconds.withLock { $0 } } }
}

@Suite("Leases", .timeLimit(.minutes(10)))
struct LeaseTests {
    private let directory: StateDirectory
    private let leases = ManualLeases()
    private let store: StateStore
    private let other = String(repeating: "e", count: 32)

    init() throws {
        directory = try StateDirectory()
        store = try directory.open(leases: leases.clock)
    }

    /// A claim that looks as if another process had made it.
    private func claimOfOther(boot: String = "this boot") async throws -> ClaimedTransfer {
        _ = try await store.add([.numbered(0)], command: "test")
        let claim = try #require(try await store.claim(1).first)
        try await store.commits.perform { [other] db in
            try db.execute(sql: "UPDATE transfer SET owner = ?, boot = ?", arguments: [other, boot])
        }
        return claim
    }

    /// The other process lives while the result does.
    private func otherLives() throws -> OwnedDescriptor {
        let file = OwnedDescriptor(open("\(directory.path)/state.db.workers/\(other)", O_RDWR | O_CREAT, 0o600))
        try #require(flock(file.raw, LOCK_EX | LOCK_NB) == 0)
        return file
    }

    @Test("of a dead process are void at once, and its fence is stale")
    func dead() async throws {
        let lost = try await claimOfOther()
        #expect(try await store.outlook(job: nil).runnable == 1)
        let claim = try #require(try await store.claim(1).first)
        #expect(claim.id == lost.id)
        #expect(claim.fence == lost.fence + 1)
        #expect(claim.attempts == 0)
        #expect(await codeThrown { try await store.finish(lost, .done()) } == .superseded)
    }

    @Test("of a process that lives hold until they end, to the millisecond")
    func stopped() async throws {
        let life = try otherLives()
        let lost = try await claimOfOther()
        leases.advance(by: 30_000)
        #expect(try await store.claim(1).isEmpty)
        #expect(try await store.outlook(job: nil).elsewhere == 1)
        leases.advance(by: 1)
        #expect(try await store.outlook(job: nil).runnable == 1)
        #expect(try await store.claim(1).first?.fence == lost.fence + 1)
        withExtendedLifetime(life) {}
    }

    @Test("of another boot are void, whatever the clock says")
    func reboot() async throws {
        let life = try otherLives()
        _ = try await claimOfOther(boot: "another boot")
        #expect(try await store.claim(1).count == 1)
        withExtendedLifetime(life) {}
    }

    @Test("live on with every heartbeat")
    func heartbeat() async throws {
        _ = try await store.add([.numbered(0)], command: "test")
        let claim = try #require(try await store.claim(1).first)
        leases.advance(by: 20_000)
        _ = try await store.heartbeat([claim])
        let until: Int64? = try await store.read { db in try Int64.fetchOne(db, sql: "SELECT lease_until FROM transfer")
        }
        #expect(until == 50_000)
    }

    @Test("that end in the worker's death again and again park the transfer")
    func poison() async throws {
        for death in 1...Leases.deathLimit {
            _ = death == 1 ? try await claimOfOther() : try #require(try await store.claim(1).first)
            try await store.commits.perform { [other] db in
                try db.execute(sql: "UPDATE transfer SET owner = ? WHERE state = 'running'", arguments: [other])
            }
        }
        #expect(try await store.claim(1).isEmpty)
        let row = try #require(try await store.list(limit: 1).first)
        #expect(row.state == .parked)
        #expect(row.errorMessage == "its worker died 10 times in a row")
    }

    @Test("of a dead process end as the user wanted meanwhile")
    func wanted() async throws {
        let lost = try await claimOfOther()
        try await store.cancel(.all)
        #expect(try await store.claim(1).isEmpty)
        #expect(try await store.transfer(lost.id)?.state == .cancelled)
    }
}
