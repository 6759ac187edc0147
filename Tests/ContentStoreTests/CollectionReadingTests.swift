import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Each of a collection's looks by itself: another would make good what one misses, so every one has its own test.
@Suite struct CollectionReadingTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    /// Publishes a manifest of `garbage` at a phase, as a writer that looked at the blob long before and dies at once.
    private func late(at phase: CollectionPhase) -> Collector.Gate {
        { [fixture] reached in
            guard reached == phase else { return }
            let writer = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "late")
            try writer.publish(manifest("late", "1", "garbage"))
            try writer.end()
        }
    }

    private func has(_ text: String) throws -> Bool { try fixture.blobs().contains(StoreFixture.blobPath(text)) }

    // MARK: - Condemning

    @Test(arguments: [CollectionPhase.rootsRead, .blobsListed])
    func `invariant 5: what is referred to while blobs are listed is not condemned`(phase: CollectionPhase) async throws
    {
        let store = try fixture.fill()
        let report = try await fixture.collect(gate: late(at: phase))
        #expect(report.condemned.count == 0 && report.resurrected.count == 0)
        #expect(try has("garbage") && fixture.lost(store).isEmpty)
    }

    @Test(arguments: [CollectionPhase.rootsReadAgain, .recorded, .condemned])
    func `invariant 5: what is referred to while blobs are moved is moved back at once`(phase: CollectionPhase)
        async throws
    {
        let store = try fixture.fill()
        let report = try await fixture.collect(gate: late(at: phase))
        #expect(report.condemned.count == 1 && report.resurrected.count == 1)
        #expect(try has("garbage") && fixture.lost(store).isEmpty)
        #expect(try fixture.paths().filter { $0.hasPrefix("trash/") } == ["trash/last.json"])
    }

    @Test func `invariant 5: what was linked anew since it was listed is not condemned`() async throws {
        _ = try fixture.fill()
        let gate: Collector.Gate = { [fixture] phase in
            guard phase == .recorded else { return }
            // link(2) changes the ctime: another collection linked it back.
            let store = try ContentStore.open(fixture.path, fixture.context)
            let shard = try store.makeShard(of: SHA256.hash("garbage"))
            let blob = StoreEntry(.blob(SHA256.hash("garbage")), in: shard)
            let other = StoreEntry(StoreName("other"), in: store.layout.staging)
            try store.files.operations.link(blob, to: other)
            try store.files.operations.unlink(other)
        }
        #expect(try await fixture.collect(gate: gate).condemned.count == 0)
        #expect(try has("garbage"))
    }

    // MARK: - Emptying

    @Test func `invariant 5: what is needed again does not wait in the trash for its time`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        let writer = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "x")
        try writer.publish(manifest("n", "1", "garbage"))
        let report = try await fixture.collect()
        #expect(report.resurrected.count == 1 && report.waiting.count == 0)
        #expect(try has("garbage") && fixture.lost(store).isEmpty)
    }

    @Test func `invariant 5: what is referred to while the trash is judged is not removed`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        fixture.advance(by: StoreFixture.grace)
        let report = try await fixture.collect(gate: late(at: .trashJudged))
        #expect(report.removed.count == 0 && report.resurrected.count == 1)
        #expect(try has("garbage") && fixture.lost(store).isEmpty)
    }

    @Test func `invariant 5: what waits in the trash waits for a lease's life and a day more`() async throws {
        let store = try fixture.fill()
        let writer = try StoreWriter(store, tool: "long", timeToLive: .seconds(7 * 86_400))
        try await fixture.collect()
        fixture.advance(by: .seconds(8 * 86_400 - 60))
        #expect(try await fixture.collect().waiting.count == 1)
        fixture.advance(by: .seconds(120))
        #expect(try await fixture.collect().removed.count == 1)
        withExtendedLifetime(writer) {}
    }

    // MARK: - Listings

    /// Every listing below `refs/`, one after the other, shows nothing, or all but its last name.
    @Test(arguments: [Int.max, 1])
    func `invariant 6: no single listing of manifests is believed`(hidden: Int) async throws {
        var place = 1
        while true {
            let fixture = try StoreFixture()
            let store = try fixture.fill(["one", "two", "three"])
            let seen = Locked(0)
            fixture.operations.spoil { [place] call, _ in
                guard call.kind == .names, call.path.hasPrefix("refs") else { return nil }
                let number = seen.withLock { seen in
                    seen += 1
                    return seen
                }
                return number == place ? .hide(hidden) : nil
            }
            let report = try await fixture.collect()
            if seen.withLock({ $0 }) < place { break }
            #expect(report.condemned.count == 0 && report.revisions == 3, "listing \(place)")
            #expect(try fixture.lost(store).isEmpty && fixture.blobs().count == 3, "listing \(place)")
            place += 1
        }
        #expect(place > 20, "\(place) listings")
    }
}
