import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Invariant 9 with processes that end, fail, or race a collection anywhere.
@Suite(.timeLimit(.minutes(30))) struct ScrubSweepTests {
    private static let texts = ["good", "bad", "worse"]

    /// A store in which bits of some blobs and of a manifest flipped; which ones, as paths.
    private func rotten(_ fixture: StoreFixture, seed: UInt64) throws -> Set<String> {
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("good", "bad", "worse", pool: fixture.pool)
        try writer.publish(manifest("all", "1", "good", "bad", "worse"))
        try writer.publish(manifest("torn", "1", "good"))
        try writer.end()
        var generator = SeededGenerator(seed)
        var paths: Set<String> = []
        for text in ["bad", "worse"] {
            let path = StoreFixture.blobPath(text)
            try fixture.flip(path, bit: Int.random(in: 0..<text.utf8.count * 8, using: &generator))
            paths.insert(path)
        }
        let torn = try fixture.manifestPath("torn")
        let size = try FileStatus(fixture.directory.bytes("store/\(torn)".utf8)).size
        try fixture.flip(torn, bit: Int.random(in: 0..<Int(size) * 8, using: &generator))
        paths.insert(torn)
        return paths
    }

    /// The report of a pass: that which was given out, or else what the next processes come to.
    private func finish(_ fixture: StoreFixture, _ delivered: ScrubReport?) async throws -> ScrubReport {
        fixture.operations.repair()
        if let delivered { return delivered }
        // The dead process's claims are void with its lease.
        fixture.advance(by: .seconds(7200))
        return try await fixture.scrub()
    }

    private func check(_ fixture: StoreFixture, _ report: ScrubReport, _ flipped: Set<String>, _ comment: Comment)
        throws
    {
        let reported = report.findings.filter { [.corrupt, .damagedManifest].contains($0.what) }
        #expect(report.isComplete && reported.count == flipped.count, comment)
        #expect(Set(reported.map(\.path)) == flipped && reported.allSatisfy { $0.action == .setAside }, comment)
        let kept = try fixture.quarantine()
        #expect(Set(kept) == Set(reported.compactMap(\.movedTo)) && kept.count == flipped.count, comment)
        #expect(try fixture.mismatches().isEmpty && fixture.blobs().count == 1, comment)
        #expect(report.paths(.unreadable).isEmpty && report.paths(.missing).isEmpty, comment)
        // None was skipped, and none counted twice.
        #expect(report.blobs.count == ScrubSweepTests.texts.count, comment)
    }

    /// The report that a process gives out before `script` ends it.
    private func scrub(
        _ fixture: StoreFixture,
        _ script: @escaping @Sendable (Call, Int) -> ScriptedOperations.Fault?
    ) async -> ScrubReport? {
        let delivered = Locked<ScrubReport?>(nil)
        fixture.operations.spoil(script)
        _ = try? await fixture.scrub { report in delivered.withLock { $0 = report } }
        return delivered.withLock { $0 }
    }

    @Test func `invariant 9: exactly the flipped bits are set aside: the process ends at any operation`() async throws {
        var step = 1
        while true {
            let fixture = try StoreFixture(operations: ScriptedOperations(records: false))
            let flipped = try rotten(fixture, seed: UInt64(step))
            let delivered = await scrub(fixture) { [step] _, count in count == step ? .stop : nil }
            guard fixture.operations.isStopped else { break }
            try check(fixture, try await finish(fixture, delivered), flipped, "step \(step)")
            step += 1
        }
        #expect(step > 150, "\(step) operations")
    }

    @Test func `invariant 9: exactly the flipped bits are set aside: one process after the other ends`() async throws {
        for seed in 0..<20 as Range<UInt64> {
            let fixture = try StoreFixture(operations: ScriptedOperations(records: false))
            let flipped = try rotten(fixture, seed: seed)
            var generator = SeededGenerator(seed)
            var delivered: ScrubReport?
            for _ in 0..<12 where delivered == nil {
                let end = Int.random(in: 1...150, using: &generator)
                delivered = await scrub(fixture) { _, count in count == end ? .stop : nil }
                fixture.operations.repair()
                fixture.advance(by: .seconds(7200))
            }
            try check(fixture, try await finish(fixture, delivered), flipped, "seed \(seed)")
        }
    }

    @Test(arguments: [(EIO, 1), (ESTALE, 3), (ENOSPC, 5)])
    func `invariant 9: an error at any operation sets no good blob aside and loses no report`(number: Int32, first: Int)
        async throws
    {
        var step = first
        while true {
            let fixture = try StoreFixture()
            let flipped = try rotten(fixture, seed: UInt64(step))
            let delivered = await scrub(fixture) { [step] _, count in count == step ? .fail(number) : nil }
            if fixture.operations.calls.count < step { break }
            try check(fixture, try await finish(fixture, delivered), flipped, "step \(step)")
            step += 6
        }
        #expect(step > 150)
    }

    // MARK: - Races

    @Test(arguments: CollectionPhase.allCases)
    func `invariant 9: a scrub at any phase of a collection finds what is rotten, and only that`(phase: CollectionPhase)
        async throws
    {
        let fixture = try StoreFixture()
        let store = try fixture.fill()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("rotten", "rotten garbage", pool: fixture.pool)
        #expect(try writer.commit(manifest("n", "1", "rotten")) == .committed)
        try writer.end()
        fixture.advance(by: StoreFixture.grace)
        try fixture.flip(StoreFixture.blobPath("rotten"), bit: 0)
        try fixture.flip(StoreFixture.blobPath("rotten garbage"), bit: 0)
        let reports = Locked<[ScrubReport]>([])
        let gate: Collector.Gate = { reached in
            guard reached == phase, reports.withLock({ $0.isEmpty }) else { return }
            let report = try await fixture.scrub()
            reports.withLock { $0.append(report) }
        }
        try await fixture.collect(gate: gate)
        fixture.advance(by: StoreFixture.grace)
        try await fixture.collect(gate: gate)
        let report = try #require(reports.withLock { $0.first })
        #expect(report.isComplete)
        #expect(report.paths(.corrupt).contains(StoreFixture.blobPath("rotten")))
        #expect(report.paths(.missing).isEmpty && report.paths(.unreadable).isEmpty)
        #expect(try fixture.mismatches().isEmpty)
        #expect(try fixture.lost(store) == ["model:n@1 file-0"])
        #expect(try fixture.quarantine().count == report.paths(.corrupt).count)
    }

    @Test(arguments: [Call.Kind.openDirect, .read, .create])
    func `a blob that goes to the trash under the scrub's hands is found there, or nothing is said`(
        kind: Call.Kind
    ) async throws {
        let fixture = try StoreFixture()
        let store = try fixture.fill()
        try fixture.flip(StoreFixture.blobPath("garbage"), bit: 0)
        try fixture.directory.makeDirectory("store/trash/run".utf8)
        let from = "\(fixture.path)/\(StoreFixture.blobPath("garbage"))"
        let to = "\(fixture.path)/trash/run/\(SHA256.hash("garbage").hex)"
        let inode = try fixture.inode(StoreFixture.blobPath("garbage"))
        fixture.operations.spoil { call, _ in
            let isIt =
                switch kind {
                case .read: call.kind == .read && call.inode == inode
                case .create: call.kind == .create && call.path.hasPrefix("quarantine/")
                default: call.kind == kind && call.path == StoreFixture.blobPath("garbage")
                }
            if isIt { rename(from, to) }
            return nil
        }
        let report = try await fixture.scrub()
        #expect(report.isComplete && report.paths(.missing).isEmpty && report.paths(.unreadable).isEmpty)
        // Before the second read it was not there to be judged; afterwards it is followed.
        let isFollowed = kind == .create
        #expect(report.paths(.corrupt).count == (isFollowed ? 1 : 0))
        #expect(try fixture.quarantine().count == (isFollowed ? 1 : 0))
        if isFollowed { #expect(try store.open(SHA256.hash("garbage")) == nil) }
        #expect(try fixture.paths().count { $0.hasPrefix("quarantine/") } == (isFollowed ? 2 : 0))
    }

    @Test func `a good blob that takes a rotten one's name in between stays`() async throws {
        let fixture = try StoreFixture()
        let store = try fixture.fill()
        let path = StoreFixture.blobPath("kept")
        try fixture.flip(path, bit: 0)
        try fixture.directory.write("good", Array("kept".utf8))
        let swapped = Locked(false)
        // Between the last look at the name and the rename.
        fixture.operations.spoil { call, _ in
            guard call.kind == .rename, call.path == path else { return nil }
            if swapped.withLock({ swapped in
                defer { swapped = true }
                return !swapped
            }) {
                rename("\(fixture.directory.path)/good", "\(fixture.path)/\(path)")
            }
            return nil
        }
        let report = try await fixture.scrub()
        #expect(report.findings.allSatisfy { $0.what == .wrongMode })
        #expect(try fixture.lost(store).isEmpty && fixture.mismatches().isEmpty)
        #expect(try fixture.paths().allSatisfy { !$0.hasPrefix("quarantine/") })
    }
}
