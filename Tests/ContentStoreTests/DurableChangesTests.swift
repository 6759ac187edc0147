import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Invariant 2 beyond publishing: what was reported as moved, mended or removed is so after every power cut, and at no
/// moment is the last name of a blob one that a cut may take.
@Suite struct DurableChangesTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    private func model(keeps texts: String...) -> DurabilityModel {
        DurabilityModel(fixture.operations.calls, keeps: Set(texts.map { SHA256.hash($0).hex }))
    }

    private func condemned(_ text: String) throws -> String {
        try #require(fixture.paths().first { $0.hasPrefix("trash/") && $0.hasSuffix(SHA256.hash(text).hex) })
    }

    private func manifests(_ name: String) throws -> [String] {
        try fixture.paths().filter { $0.hasPrefix("refs/model/\(name)/") }
    }

    // MARK: - Making

    @Test func `invariant 2: a store whose directory was made is not lost with it`() throws {
        _ = try fixture.make()
        let calls = fixture.operations.calls
        let made = try #require(calls.firstIndex { $0.kind == .makeRoot })
        #expect(calls[made...].contains { $0.kind == .syncDirectory && $0.path == ".." })
    }

    // MARK: - Collecting

    @Test func `invariant 2: what was condemned is in the trash, and nowhere else, after a power cut`() async throws {
        _ = try fixture.fill()
        try await fixture.collect()
        let model = model(keeps: "kept", "garbage")
        let path = try condemned("garbage")
        #expect(model.isDurable(path) && model.isGone(StoreFixture.blobPath("garbage")))
        #expect(model.isDurable("\(path.split(separator: "/").dropLast().joined(separator: "/")).json"))
        #expect(model.violations.isEmpty, "\(model.violations)")
    }

    @Test func `invariant 2: what a reader linked back stays`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        #expect(try store.open(SHA256.hash("garbage")) != nil)
        #expect(model().isDurable(StoreFixture.blobPath("garbage")))
    }

    @Test func `invariant 2: while a collection links a blob back no power cut takes it`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        try StoreWriter(store, tool: "late").publish(manifest("late", "1", "garbage"))
        fixture.advance(by: StoreFixture.grace)
        #expect(try await fixture.collect().resurrected.count == 1)
        let model = model(keeps: "kept", "garbage")
        #expect(model.violations.isEmpty, "\(model.violations)")
        #expect(model.isDurable(StoreFixture.blobPath("garbage")))
    }

    // MARK: - Setting aside

    @Test func `invariant 2: what a scrub set aside is in the quarantine, and nowhere else`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        // With a second name in the trash.
        #expect(try store.open(SHA256.hash("garbage")) != nil)
        let second = try condemned("garbage")
        for text in ["kept", "garbage"] { try fixture.flip(StoreFixture.blobPath(text), bit: 1) }
        let report = try await fixture.scrub()
        let moved = report.findings.compactMap(\.movedTo)
        let model = model(keeps: "nothing")
        #expect(moved.count == 2 && moved.allSatisfy { model.isDurable($0) && model.isDurable("\($0).json") })
        for path in [StoreFixture.blobPath("kept"), StoreFixture.blobPath("garbage"), second] {
            #expect(model.isGone(path), "\(path)")
        }
        #expect(model.violations.isEmpty, "\(model.violations)")
    }

    @Test func `invariant 2: a damaged manifest that was set aside is gone from its place`() async throws {
        _ = try fixture.fill(["one"])
        let path = try fixture.manifestPath("one")
        try fixture.flip(path, bit: 3)
        let report = try await fixture.scrub()
        let moved = try #require(report.findings.first { $0.what == .damagedManifest }?.movedTo)
        #expect(model().isGone(path) && model().isDurable(moved))
    }

    @Test func `invariant 2: a blob that a commit set aside is gone from its place`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("complete", pool: fixture.pool)
        let path = StoreFixture.blobPath("complete")
        try fixture.write(path, "comp")
        #expect(try writer.commit(manifest("m", "1", "complete")) == .missing([SHA256.hash("complete")]))
        #expect(model().isGone(path))
        let kept = try #require(fixture.quarantine().first)
        #expect(model().isDurable(kept) && model().isDurable("\(kept).json"))
    }

    @Test func `invariant 2: a damaged manifest gives way to the good one for good`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("one", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
        let path = try fixture.manifestPath("m")
        try fixture.flip(path, bit: 3)
        #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
        let kept = try #require(fixture.quarantine().first)
        #expect(model().isDurable(path) && model().isDurable(kept) && model().isDurable("\(kept).json"))
    }

    // MARK: - Removing

    @Test func `invariant 2: a tree that was removed does not come back, nor its head`() throws {
        let store = try fixture.fill(["one"])
        let path = try fixture.manifestPath("one")
        #expect(try store.remove(manifest("one").name))
        #expect(model().isGone(path) && model().isGone("heads/model/one/main"))
    }

    /// Of a manifest that came back the replaced blobs may be collected.
    @Test func `invariant 2: manifests that were merged do not come back`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("one", "two", pool: fixture.pool)
        let first = try manifest("m", "1", "one")
        #expect(try writer.commit(first) == .committed && writer.commit(manifest("m", "1", "one", "two")) == .committed)
        let old = try manifests("m")
        #expect(try writer.merge(first.name)?.replaced.count == 2)
        let new = try #require(manifests("m").first)
        #expect(try manifests("m") == [new] && model().isDurable(new) && !old.contains(new))
        #expect(old.allSatisfy(model().isGone))
    }

    @Test func `invariant 2: files that were taken out of a tree do not come back`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("one", "two", pool: fixture.pool)
        let both = try manifest("m", "1", "one", "two")
        #expect(try writer.commit(both) == .committed)
        let old = try fixture.manifestPath("m")
        #expect(try writer.remove(from: both.name) { $0.path == ObjectKey("file-1") } == 1)
        let new = try fixture.manifestPath("m")
        #expect(model().isDurable(new) && model().isGone(old))
    }

    @Test func `invariant 5: a merge that ends at any operation loses no file`() throws {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            let store = try fixture.make()
            let writer = try StoreWriter(store, tool: "test")
            try writer.put("one", "two", pool: fixture.pool)
            let name = try manifest("m").name
            #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
            let second = Manifest.File(path: ObjectKey("second"), size: ByteCount(3), digest: SHA256.hash("two"))
            #expect(try writer.commit(Manifest(name, [second])) == .committed)
            fixture.operations.spoil { [step] _, count in count == step ? .stop : nil }
            _ = try? writer.merge(name)
            guard fixture.operations.isStopped else { break }
            fixture.operations.repair()
            #expect(try store.tree(name)?.files.count == 2, "step \(step)")
            step += 1
        }
        #expect(step > 15)
    }
}
