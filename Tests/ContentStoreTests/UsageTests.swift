import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct UsageTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    @Test func `space is told apart by who needs it`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        let writer = try StoreWriter(store, pins: [SHA256.hash("pinned")], tool: "test")
        try writer.put("a", "bb", "pinned", "nobody's", pool: fixture.pool)
        #expect(try writer.commit(manifest("x", "1", "a", "bb")) == .committed)
        #expect(try writer.commit(manifest("x", "2", "a", "kept")) == .committed)
        let partial = try writer.stage()
        try partial.write(try #require(Chunk.chunks(of: Array("part".utf8), from: fixture.pool).first), at: 0)
        try fixture.write("quarantine/\(SHA256.hash("q").hex).1", "bad")
        let usage = try store.usage()
        #expect(usage.models.map(\.name) == ["m", "x"] && usage.models.map(\.manifests) == [1, 2])
        // `kept` belongs to both.
        #expect(usage.models[0].exclusive.count == 0 && usage.models[0].logical.bytes == ByteCount(4))
        #expect(usage.models[1].exclusive.count == 2 && usage.models[1].exclusive.bytes == ByteCount(3))
        #expect(usage.models[1].logical.count == 4 && usage.models[1].logical.bytes == ByteCount(8))
        #expect(usage.logical.count == 5 && usage.logical.bytes == ByteCount(12))
        #expect(usage.shared.count == 1 && usage.shared.bytes == ByteCount(4))
        // A publisher pins what it publishes.
        #expect(usage.pinned.count == 2 && usage.pinned.bytes == ByteCount(14))
        #expect(usage.unique.count == 5 && usage.unique.bytes == ByteCount(21))
        #expect(usage.allocated.bytes >= 5 * 512)
        #expect(usage.trash.count == 1 && usage.trash.bytes == ByteCount(7))
        #expect(usage.quarantine.count == 1 && usage.quarantine.bytes == ByteCount(3))
        #expect(usage.partials.count == 1 && usage.partials.bytes == ByteCount(4))
        try fixture.removeLeases()
        #expect(try store.usage().unreferenced.count == 2 && store.usage().pinned.count == 0)
    }

    @Test(arguments: [false, true])
    func `a model that is removed while it is read is none`(isFollowed: Bool) throws {
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("a", "bb", pool: fixture.pool)
        let files = (0..<12_000).map { number in
            Manifest.File(path: ObjectKey("\(number)"), size: ByteCount(1), digest: SHA256.hash("a"))
        }
        // Of several blocks: some files are given before it is gone.
        let name = try RevisionName(kind: "model", name: "long", revision: "1")
        try writer.publish(try Manifest(name, files))
        if isFollowed { #expect(try writer.commit(manifest("z", "1", "bb")) == .committed) }
        let other = try ContentStore.open(fixture.path, fixture.healthy)
        let reads = Locked(0)
        fixture.operations.spoil { call, _ in
            guard call.kind == .read else { return nil }
            let number = reads.withLock { reads in
                reads += 1
                return reads
            }
            guard number == 4 else { return nil }
            _ = try? other.remove(name)
            return .fail(ESTALE)
        }
        let usage = try store.usage()
        #expect(usage.models.map(\.name) == (isFollowed ? ["z"] : []))
        #expect(usage.logical.count == (isFollowed ? 1 : 0))
        #expect(usage.models.first?.exclusive.count == (isFollowed ? 1 : nil))
    }

    @Test func `a table keeps each pair once, sorted, whatever the order of insertion`() {
        var generator = SeededGenerator(7)
        var table = BlobTable<UInt64>()
        var expected: Set<[UInt64]> = []
        let keys = (0..<300).map { BlobKey(SHA256.hash("\($0)")) }
        for _ in 0..<20_000 {
            let place = Int.random(in: 0..<keys.count, using: &generator)
            let value = UInt64.random(in: 0..<3, using: &generator)
            table.insert(keys[place], value)
            expected.insert([UInt64(place), value])
        }
        table.seal()
        #expect(table.count == expected.count)
        for (place, key) in keys.enumerated() {
            let values = expected.filter { $0[0] == UInt64(place) }.map { $0[1] }.sorted()
            #expect(table.rows(of: key).map(\.value) == values)
        }
        #expect(!table.contains(BlobKey(SHA256.hash("other"))))
        #expect(BlobTable<UInt64>().rows(of: keys[0]).isEmpty)
    }

    @Test(arguments: ["", "x"]) func `a key from a name is the key from its digest`(text: String) throws {
        let digest = SHA256.hash(text)
        #expect(BlobKey(StoreName.blob(digest)) == BlobKey(digest))
        #expect(BlobKey(StoreName.blob(digest))?.digest == digest)
        #expect(BlobKey(StoreName(String(digest.hex.dropLast()))) == nil)
        #expect(BlobKey(StoreName(digest.hex.dropLast() + "g")) == nil)
    }
}
