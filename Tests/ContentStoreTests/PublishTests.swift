import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct PublishTests {
    let fixture: StoreFixture
    let store: ContentStore
    let writer: StoreWriter

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
        writer = try StoreWriter(store, tool: "test")
    }

    @Test func `what was published is there under its digest, read-only`() throws {
        #expect(try writer.put("hello", pool: fixture.pool) == [.published])
        let digest = SHA256.hash("hello")
        let path = "blobs/sha256/\(digest.hex.prefix(2))/\(digest.hex)"
        #expect(try fixture.blobs() == [path])
        #expect(try fixture.directory.read("store/\(path)".utf8) == Array("hello".utf8))
        #expect(try store.open(digest)?.links == 1)
        #expect(try FileStatus(fixture.directory.bytes("store/\(path)".utf8)).permissions == 0o444)
        try writer.end()
        #expect(try fixture.paths() == [path, "sluice-store.json"])
    }

    @Test func `a large blob is on its way to the disk before its sync`() throws {
        let staged = try writer.stage()
        let text = String(repeating: "x", count: BufferPool.chunkCapacity)
        let chunk = Chunk.chunks(of: Array(text.utf8), from: fixture.pool)[0]
        let chunks = 2 * WriteBackPace.step / chunk.count
        for index in 0..<chunks { try staged.write(chunk, at: UInt64(index * chunk.count)) }
        #expect(fixture.operations.writeBacks == 2)
    }

    @Test func `invariant 3: a blob that is there keeps its inode, and the copy is dropped`() throws {
        try writer.put("one", pool: fixture.pool)
        let inode = try fixture.inode(fixture.blobs()[0])
        for _ in 0..<100 { #expect(try writer.put("one", pool: fixture.pool) == [.present]) }
        #expect(try fixture.inode(fixture.blobs()[0]) == inode)
        #expect(try fixture.paths().count { $0.hasSuffix(".part") } == 0)
    }

    @Test func `invariant 1: bytes that are not what was published are set aside with both digests`() throws {
        let blob = try writer.arrived("wrong bytes", expected: SHA256.hash("right"), pool: fixture.pool)
        let outcome = try writer.publish([blob])[0]
        let error = try failure { _ = try outcome.get() }
        #expect(error.code == .digestMismatch && error.retry == .restart)
        #expect(error.message.contains(SHA256.hash("right").hex))
        #expect(error.message.contains(SHA256.hash("wrong bytes").hex))
        #expect(try fixture.blobs().isEmpty)
        let kept = try fixture.paths().filter { $0.hasPrefix("quarantine/\(SHA256.hash("right").hex).") }
        #expect(kept.count == 2)
        #expect(try kept.map { try fixture.directory.read("store/\($0)".utf8) }.contains(Array("wrong bytes".utf8)))
    }

    @Test func `one bad blob of a group does not disturb the others`() throws {
        let blobs = [
            try writer.arrived("a", pool: fixture.pool),
            try writer.arrived("b", expected: SHA256.hash("x"), pool: fixture.pool),
            try writer.arrived("c", pool: fixture.pool),
        ]
        let outcomes = try writer.publish(blobs)
        #expect((try? outcomes[0].get()) == .published && (try? outcomes[2].get()) == .published)
        #expect((try? outcomes[1].get()) == nil)
        #expect(try fixture.blobs().count == 2)
    }

    @Test func `invariant 1: a damaged blob of another length is set aside, and the good one takes its place`() throws {
        try writer.put("complete", pool: fixture.pool)
        let path = try fixture.blobs()[0]
        try fixture.write(path, "comp")
        #expect(try writer.put("complete", pool: fixture.pool) == [.published])
        #expect(try fixture.mismatches().isEmpty)
        #expect(try fixture.paths().count { $0.hasPrefix("quarantine/") } == 2)
    }

    @Test func `invariant 1: a rotten blob of the right length gives way to a proven copy`() throws {
        try writer.put("complete", pool: fixture.pool)
        try fixture.flip(fixture.blobs()[0], bit: 5)
        #expect(try writer.put("complete", pool: fixture.pool) == [.published])
        #expect(try fixture.mismatches().isEmpty && fixture.quarantine().count == 1)
    }

    @Test func `invariant 1: a file that is shorter than what was hashed is never published`() throws {
        let blob = try writer.arrived("four", pool: fixture.pool)
        let wrong = ArrivedBlob(blob.staged, digest: blob.digest, size: ByteCount(5), origin: "x")
        let outcome = try writer.publish([wrong])[0]
        #expect(try failure { _ = try outcome.get() }.code == .internalFault)
        #expect(try fixture.blobs().isEmpty)
    }

    @Test(arguments: [false, true])
    func `invariant 3: a mount without links publishes, and says so if it may replace`(hasNoReplace: Bool) throws {
        fixture.operations.spoil { call, _ in
            switch call.kind {
            case .link: .fail(EPERM)
            case .renameWithoutReplacing: hasNoReplace ? nil : .fail(EINVAL)
            default: nil
            }
        }
        #expect(try writer.put("x", "y", pool: fixture.pool) == [.published, .published])
        #expect(try writer.put("x", pool: fixture.pool) == [.present])
        #expect(try writer.commit(manifest("m", "1", "x", "y")) == .committed)
        #expect(try fixture.mismatches().isEmpty)
        let degraded = fixture.notices.withLock { notices in
            notices.contains { if case .degradedPublish = $0 { true } else { false } }
        }
        #expect(degraded == !hasNoReplace)
    }

    @Test func `a directory that cannot be synced is told, EIO of it is an error`() throws {
        fixture.operations.spoil { call, _ in call.kind == .syncDirectory ? .fail(EINVAL) : nil }
        #expect(try writer.put("x", pool: fixture.pool) == [.published])
        #expect(fixture.notices.withLock { $0.contains { "\($0)".contains("cannot make names durable") } })
        fixture.operations.spoil { call, _ in call.kind == .syncDirectory ? .fail(EIO) : nil }
        #expect(throws: SluiceError.self) { try writer.put("y", pool: fixture.pool) }
    }

    @Test(arguments: [EIO, ENOSPC, EDQUOT])
    func `invariant 2: a failed fsync publishes nothing, and is never asked a second time`(number: Int32) throws {
        let blob = try writer.arrived("x", pool: fixture.pool)
        try writer.pin([blob.digest])
        fixture.operations.spoil { call, _ in call.kind == .sync ? .fail(number) : nil }
        let outcome = try writer.publish([blob])[0]
        let error = try failure { _ = try outcome.get() }
        #expect(error.retry == (number == EIO ? .restart : .park))
        #expect(fixture.operations.calls.count { $0.kind == .sync } == 1)
        #expect(try fixture.blobs().isEmpty)
        // On EIO the bytes are in doubt and go; on a full disk the partial is kept.
        #expect(try fixture.paths().contains { $0.hasSuffix(".part") } == (number != EIO))
    }

    @Test(arguments: [EIO, ENOSPC, EDQUOT])
    func `invariant 2: what close would report publishes nothing`(number: Int32) throws {
        let blob = try writer.arrived("x", pool: fixture.pool)
        try writer.pin([blob.digest])
        fixture.operations.spoil { call, _ in call.kind == .flush ? .fail(number) : nil }
        let outcome = try writer.publish([blob])[0]
        #expect(try failure { _ = try outcome.get() }.retry == (number == EIO ? .restart : .park))
        #expect(try fixture.blobs().isEmpty)
    }

    @Test func `a pipe or a link under a blob's name is not followed`() throws {
        let digest = SHA256.hash("x")
        try fixture.directory.makeDirectory("store/blobs/sha256/\(digest.hex.prefix(2))".utf8)
        try fixture.directory.link("store/blobs/sha256/\(digest.hex.prefix(2))/\(digest.hex)", to: "/etc/passwd")
        #expect(throws: SluiceError.self) { try writer.put("x", pool: fixture.pool) }
        #expect(throws: SluiceError.self) { try store.open(digest) }
    }
}
