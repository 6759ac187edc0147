import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Invariant 2: durable before visible.
@Suite struct DurabilityTests {
    private let fixture: StoreFixture
    private static let manifestPath = path(of: try? manifest("m", "1", "one", "two"))
    private static let blobs = ["one", "two"].map { text in
        let hex = SHA256.hash(text).hex
        return "blobs/sha256/\(hex.prefix(2))/\(hex)"
    }

    init() throws {
        fixture = try StoreFixture()
    }

    private static func path(of manifest: Manifest?) -> String {
        guard let bytes = try? manifest?.encoded() else { return "" }
        return "refs/model/m/1.\(bytes.withUnsafeBytes { SHA256.hash($0) }.hex).json"
    }

    /// The calls of a store that is made, filled and committed to.
    private func record() throws -> [Call] {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("one", "two", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one", "two"), branch: "main") == .committed)
        return fixture.operations.calls
    }

    private func model(_ calls: [Call]) -> DurabilityModel {
        DurabilityModel(calls, needs: [DurabilityTests.manifestPath: DurabilityTests.blobs])
    }

    @Test func `invariant 2: each name comes after its bytes, each manifest after its blobs`() throws {
        let model = model(try record())
        #expect(model.violations.isEmpty, "\(model.violations)")
        for path in DurabilityTests.blobs + [
            DurabilityTests.manifestPath, "heads/model/m/main", "sluice-store.json",
        ] { #expect(model.isDurable(path), "\(path) was reported and would be lost") }
    }

    @Test func `invariant 2: a put that returned is not lost`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        try writer.put("one", "two", pool: fixture.pool)
        let model = model(fixture.operations.calls)
        #expect(DurabilityTests.blobs.allSatisfy(model.isDurable))
    }

    @Test func `invariant 2: init reports a marker that stays`() throws {
        _ = try fixture.make()
        #expect(model(fixture.operations.calls).isDurable("sluice-store.json"))
    }

    @Test func `invariant 2: a group syncs each directory once`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        let texts = (0..<40).map { "text \($0)" }
        let blobs = try texts.map { try writer.arrived($0, pool: fixture.pool) }
        fixture.operations.repair()
        for outcome in try writer.publish(blobs) { _ = try outcome.get() }
        let shards = Set(texts.map { SHA256.hash($0).hex.prefix(2) })
        let synced = fixture.operations.calls.filter {
            $0.kind == .syncDirectory && $0.path.hasPrefix("blobs/sha256/")
        }
        #expect(Set(synced.map(\.path)).count == shards.count && synced.count == shards.count)
    }

    /// The mutations: without any one of the syncs that matter, the model finds the store wrong.
    @Test func `invariant 2: no sync can be left out`() throws {
        let calls = try record()
        func holds(_ calls: [Call]) -> Bool {
            let model = model(calls)
            return model.violations.isEmpty
                && (DurabilityTests.blobs + [DurabilityTests.manifestPath, "heads/model/m/main"])
                    .allSatisfy(model.isDurable)
        }
        #expect(holds(calls))
        var needed = 0
        // Each file's sync alone.
        let placed = Set(calls.filter { $0.kind == .link || $0.kind == .rename }.map(\.inode))
        for inode in placed {
            #expect(!holds(calls.filter { !($0.kind == .sync && $0.inode == inode) }), "without the sync of \(inode)")
            needed += 1
        }
        // Each directory's syncs.
        let directories = Set(calls.filter { $0.kind == .syncDirectory }.map(\.path))
        let matter = directories.filter { path in
            path.isEmpty || ["blobs", "refs", "heads"].contains { path.hasPrefix($0) }
        }
        for path in matter {
            let without = calls.filter { !($0.kind == .syncDirectory && $0.path == path) }
            #expect(!holds(without), "without the syncs of \(path)")
            needed += 1
        }
        #expect(needed >= 13)
    }

    @Test func `invariant 2: a blob that another host linked is synced before it is referred to`() throws {
        let writer = try StoreWriter(fixture.make(), tool: "test")
        // The other host stops directly after its link: nothing says that it synced any directory.
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "other")
        fixture.operations.spoil { call, _ in call.kind == .unlink && call.path.hasSuffix(".part") ? .stop : nil }
        _ = try? other.put("one", pool: fixture.pool)
        let before = fixture.operations.calls.filter { $0.kind != .syncDirectory }
        #expect(try fixture.blobs().count == 1)
        fixture.operations.repair()
        let manifest = try manifest("m", "1", "one")
        #expect(try writer.commit(manifest) == .committed)
        let made = [
            Call(kind: .makeDirectory, path: "blobs"), Call(kind: .makeDirectory, path: "blobs/sha256"),
            Call(kind: .syncDirectory, path: ""), Call(kind: .syncDirectory, path: "blobs"),
        ]
        let model = DurabilityModel(
            made + before + fixture.operations.calls,
            needs: [DurabilityTests.path(of: manifest): [DurabilityTests.blobs[0]]]
        )
        #expect(try fixture.paths().contains(DurabilityTests.path(of: manifest)))
        #expect(model.violations.isEmpty, "\(model.violations)")
    }
}
