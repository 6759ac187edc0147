import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct RepairTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    private func file(_ path: String, _ text: String, size: UInt64? = nil, sources: [String] = []) -> Manifest.File {
        Manifest.File(
            path: ObjectKey(path),
            size: ByteCount(size ?? UInt64(text.utf8.count)),
            digest: SHA256.hash(text),
            sources: sources
        )
    }

    private func remove(_ text: String) {
        _ = fixture.directory.bytes("store/\(StoreFixture.blobPath(text))".utf8).withCPath { unlink($0) }
    }

    @Test func `what is missing is listed with who needs it and where it came from, without credentials`() throws {
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("one", "two", pool: fixture.pool)
        let source = "https://user:word@host.example/one?token=secret"
        let name = try RevisionName(kind: "model", name: "m", revision: "1")
        let files = [file("a", "one", sources: [source]), file("b", "one"), file("c", "two")]
        #expect(try writer.commit(Manifest(name, files)) == .committed)
        #expect(try writer.commit(manifest("n", "1", "one")) == .committed)
        #expect(try store.missingBlobs().isEmpty)
        remove("one")
        let missing = try store.missingBlobs()
        #expect(missing.count == 1 && missing[0].digest == SHA256.hash("one") && missing[0].size == ByteCount(3))
        #expect(missing[0].found == nil && missing[0].uses.map(\.manifest.name) == ["m", "n"])
        #expect(missing[0].uses[0].paths == [ObjectKey("a"), ObjectKey("b")])
        #expect(missing[0].uses[0].sources.count == 1)
        #expect(missing[0].uses[0].sources.allSatisfy { !$0.contains("word") && !$0.contains("secret") })
        // What no manifest needs is not missed.
        #expect(try store.remove(name) && store.remove(manifest("n").name))
        #expect(try store.missingBlobs().isEmpty)
    }

    @Test func `another size is told, and a condemned blob is not missing nor linked back`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        let writer = try StoreWriter(store, tool: "test")
        try writer.publish(manifest("late", "1", "garbage"))
        let before = try fixture.picture()
        #expect(try store.missingBlobs().isEmpty)
        #expect(try fixture.picture() == before)
        try fixture.write(StoreFixture.blobPath("kept"), "kep")
        let missing = try store.missingBlobs()
        #expect(missing.count == 1 && missing[0].size == ByteCount(4) && missing[0].found == ByteCount(3))
    }

    @Test func `a damaged manifest is an error, not a need of nothing`() throws {
        let store = try fixture.fill(["one"])
        try fixture.flip(try #require(fixture.paths().first { $0.hasPrefix("refs/") }), bit: 3)
        #expect(throws: SluiceError.self) { try store.missingBlobs() }
    }

    @Test func `invariant 9: what was set aside comes back only if its bytes are right after all`() async throws {
        let store = try fixture.fill(["one", "two"])
        for text in ["one", "two"] { try fixture.flip(StoreFixture.blobPath(text), bit: 2) }
        _ = try await fixture.scrub()
        let writer = try StoreWriter(store, tool: "repair")
        let missing = try store.missingBlobs()
        #expect(missing.count == 2)
        #expect(try writer.heal(missing, from: .store, pool: fixture.pool).isEmpty)
        // A cable, not the disk: the bytes of one are well again.
        let kept = try #require(fixture.quarantine().first { $0.contains(SHA256.hash("one").hex) })
        try fixture.flip(kept, bit: 2)
        #expect(try writer.heal(missing, from: .store, pool: fixture.pool) == [SHA256.hash("one")])
        try writer.end()
        #expect(try fixture.mismatches().isEmpty && store.missingBlobs().map(\.digest) == [SHA256.hash("two")])
        // Evidence stays, and nothing is left of what was tried.
        #expect(try fixture.quarantine().count == 2 && !fixture.paths().contains { $0.hasPrefix("tmp/") })
    }

    @Test func `invariant 9: a directory of the user's heals by what it holds, and no rotten file does`() throws {
        let store = try fixture.fill(["one", "two", "six"])
        for text in ["one", "two", "six"] { remove(text) }
        try fixture.directory.write("mine/deep/copy of one", Array("one".utf8))
        try fixture.directory.write("mine/two", Array("twO".utf8))
        try fixture.directory.write("elsewhere/six", Array("six".utf8))
        try fixture.directory.link("mine/link", to: "../elsewhere/six")
        let writer = try StoreWriter(store, tool: "repair")
        let mine = LocalPath(fixture.directory.bytes("mine".utf8))
        let healed = try writer.heal(try store.missingBlobs(), from: .directory(mine), pool: fixture.pool)
        #expect(healed == [SHA256.hash("one")])
        try writer.end()
        #expect(try fixture.mismatches().isEmpty && fixture.blobs().count == 1)
        #expect(try fixture.directory.read("mine/deep/copy of one".utf8) == Array("one".utf8))
        #expect(try !fixture.paths().contains { $0.hasPrefix("tmp/") })
    }

    @Test func `the quarantine is listed, with and without its records`() async throws {
        let store = try fixture.fill(["one", "two"])
        #expect(try store.quarantined().isEmpty)
        try fixture.flip(StoreFixture.blobPath("one"), bit: 2)
        let manifest = try #require(fixture.paths().first { $0.hasPrefix("refs/model/two/") })
        try fixture.flip(manifest, bit: 2)
        _ = try await fixture.scrub()
        let listed = try store.quarantined()
        #expect(listed.count == 2)
        let blob = try #require(listed.first { $0.expected == SHA256.hash("one") })
        #expect(blob.size == ByteCount(3) && blob.found?.count == 64 && blob.found != SHA256.hash("one").hex)
        #expect(blob.origin?.hasSuffix(StoreFixture.blobPath("one")) == true && blob.manifest == nil)
        #expect(listed.first { $0.expected == nil }?.manifest == manifest)
        for path in try fixture.paths() where path.hasPrefix("quarantine/") && path.hasSuffix(".json") {
            _ = fixture.directory.bytes("store/\(path)".utf8).withCPath { unlink($0) }
        }
        let bare = try store.quarantined()
        #expect(bare.map(\.name) == listed.map(\.name) && bare.allSatisfy { $0.found == nil && $0.origin == nil })
    }
}
