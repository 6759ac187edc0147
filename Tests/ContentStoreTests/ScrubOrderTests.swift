import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Two blobs are hashed side by side, and what is told stays in order.
@Suite(.timeLimit(.minutes(10))) struct ScrubOrderTests {
    /// Two reads long, and short ones in the same directory behind it.
    private static let long = "long" + String(repeating: "x", count: ReadBuffer.capacity)

    private static func short(_ count: Int) -> [String] {
        let hex = SHA256.hash(long).hex
        let texts = (0...).lazy.map { "short \($0)" }.filter { text in
            let other = SHA256.hash(text).hex
            return other.prefix(2) == hex.prefix(2) && other > hex
        }
        return texts.prefix(count).sorted { SHA256.hash($0).hex < SHA256.hash($1).hex }
    }

    private func fixture(_ texts: [String], records: Bool = true) throws -> StoreFixture {
        let fixture = try StoreFixture(operations: ScriptedOperations(records: records))
        let writer = try StoreWriter(fixture.make(), tool: "test")
        for text in texts { try writer.put(text, pool: fixture.pool) }
        try writer.end()
        fixture.operations.repair()
        return fixture
    }

    /// Blobs in the order of their reads; several of one after another count once.
    private func turns(_ fixture: StoreFixture, _ texts: [String]) throws -> [String] {
        let names = try Dictionary(
            uniqueKeysWithValues: texts.map { (try fixture.inode(StoreFixture.blobPath($0)), String($0.prefix(8))) }
        )
        let read = fixture.operations.calls.filter { $0.kind == .read }.compactMap { names[$0.inode] }
        return read.indices.filter { $0 == 0 || read[$0] != read[$0 - 1] }.map { read[$0] }
    }

    // MARK: - The queue

    @Test func `a unit's looks come out in order, and wait for no other unit's`() {
        let (first, second) = (StoreName("aa"), StoreName("bb"))
        var ended: Set<Int> = []
        var queue = LookQueue<Int> { ended.contains($0) }
        queue.append(1, of: first)
        queue.append(2, of: first)
        queue.append(3, of: second)
        #expect(queue.next() == nil && queue.underWay == [1, 2, 3])
        ended = [2, 3]
        #expect(queue.next() == 3 && queue.next() == nil && queue.underWay == [1])
        ended = [1, 2]
        #expect(queue.next() == 1 && queue.next() == 2 && queue.next() == nil && queue.isEmpty)
    }

    @Test func `a queue has a limit`() {
        var queue = LookQueue<Int> { _ in true }
        for number in 0..<LookQueue<Int>.limit {
            #expect(queue.hasRoom)
            queue.append(number, of: StoreName("aa"))
        }
        #expect(!queue.hasRoom && queue.next() == 0 && queue.hasRoom)
    }

    @Test func `one look at a time where reading is what takes the time`() {
        var pace = ReadPace()
        #expect(pace.breadth == 2)
        pace.add(200_000_000, in: .seconds(1))
        #expect(pace.breadth == 1 && pace.bytes == 200_000_000)
        pace.add(800_000_000, in: .seconds(1))
        #expect(pace.breadth == 2)
    }

    // MARK: - Side by side

    @Test func `two blobs are read side by side, also of two directories`() async throws {
        let texts = ["1", "2"].map { $0 + Self.long }
        #expect(StoreName.shard(SHA256.hash(texts[0])) != StoreName.shard(SHA256.hash(texts[1])))
        let fixture = try fixture(texts)
        let report = try await fixture.scrub()
        #expect(report.isSound && report.blobs.count == 2 && report.shards == 2)
        #expect(try turns(fixture, texts).count == 4)
        #expect(try fixture.paths().allSatisfy { !$0.hasPrefix("claims/") })
    }

    @Test func `a slow disk is left to one blob after the other`() async throws {
        let texts = ["1", "2"].map { $0 + Self.long }
        let fixture = try fixture(texts)
        fixture.operations.spoil { call, _ in
            if call.kind == .read { fixture.time.advance(by: .milliseconds(50)) }
            return nil
        }
        let report = try await fixture.scrub()
        #expect(report.isSound && report.blobs.count == 2)
        #expect(try turns(fixture, texts).count == 2)
    }

    @Test func `a verification of a manifest reads side by side and judges each by its own name`() async throws {
        let texts = ["1", "2", "3"].map { $0 + Self.long }
        let fixture = try fixture(texts + ["small"])
        try fixture.flip(StoreFixture.blobPath(texts[1]), bit: 70)
        let store = try ContentStore.open(fixture.path, fixture.context)
        let wanted = try manifest("all", "1", texts[0], texts[1], texts[2], "small")
        let report = try await store.verify(only: wanted)
        #expect(report.paths(.corrupt) == [StoreFixture.blobPath(texts[1])] && report.findings.count == 1)
        #expect(report.run.count == 4)
        #expect(try turns(fixture, texts).count > 3)
    }

    @Test func `behind a long blob few files are open`() async throws {
        let texts = [Self.long] + Self.short(2 * LookQueue<Int>.limit)
        let fixture = try fixture(texts)
        let report = try await fixture.scrub()
        #expect(report.isSound && report.blobs.count == texts.count)
        let calls = fixture.operations.calls
        let inode = try fixture.inode(StoreFixture.blobPath(Self.long))
        let last = try #require(calls.lastIndex { $0.kind == .read && $0.inode == inode })
        let opened = calls[..<last].filter { $0.kind == .openDirect }.map(\.path)
        // They go beside it until there are too many of them.
        #expect(opened == texts.prefix(LookQueue<Int>.limit).map { StoreFixture.blobPath($0) })
    }

    // MARK: - Killed

    /// The short ones have been looked at when the long one before them has not.
    @Test func `invariant 9: a process that ends beside a long blob loses no report and makes none twice`()
        async throws
    {
        let texts = [Self.long] + Self.short(4)
        let bad = [texts[1], texts[3]]
        var step = 1
        while true {
            let fixture = try fixture(texts, records: false)
            for text in bad { try fixture.flip(StoreFixture.blobPath(text), bit: step % 40) }
            fixture.operations.spoil { [step] _, count in count == step ? .stop : nil }
            let delivered = Locked<ScrubReport?>(nil)
            _ = try? await fixture.scrub { report in delivered.withLock { $0 = report } }
            let isStopped = fixture.operations.isStopped
            fixture.operations.repair()
            // The dead process's claims are void with its lease.
            fixture.advance(by: .seconds(7200))
            var report = delivered.withLock { $0 }
            if report == nil { report = try await fixture.scrub() }
            try check(fixture, #require(report), texts, bad, "step \(step)")
            if !isStopped { break }
            step += 1
        }
        #expect(step > 100)
    }

    private func check(
        _ fixture: StoreFixture,
        _ report: ScrubReport,
        _ texts: [String],
        _ bad: [String],
        _ comment: Comment
    ) throws {
        #expect(report.isComplete && report.blobs.count == texts.count, comment)
        #expect(Set(report.paths(.corrupt)) == Set(bad.map { StoreFixture.blobPath($0) }), comment)
        #expect(report.findings.count == bad.count, comment)
        #expect(try fixture.quarantine().count == bad.count, comment)
        #expect(try fixture.blobs().count == texts.count - bad.count, comment)
    }
}
