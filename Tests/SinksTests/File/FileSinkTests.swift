import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSinks

@Suite struct FileSinkTests {
    let directory: TemporaryDirectory
    let harness: FileSinkHarness

    init() throws {
        directory = try TemporaryDirectory()
        harness = FileSinkHarness(directory: directory)
    }

    // MARK: - What has the name already (L-12)

    @Test(arguments: ["directory", "fifo", "symlink", "dangling"])
    func `what is no regular file is neither followed nor replaced`(kind: String) async throws {
        try directory.write("top/victim", [1, 2, 3])
        let path = directory.path + "/top/target"
        switch kind {
        case "directory": try directory.makeDirectory("top/target".utf8)
        case "fifo": #expect(mkfifo(path, 0o600) == 0)
        case "symlink": try directory.link("top/target", to: "victim")
        default: try directory.link("top/target", to: "planted")
        }
        let target = try harness.sink().target(ObjectKey("target"))
        for policy in [OverwritePolicy.refuse, .overwrite, .skip] {
            try await fails(.exists) { _ = try await target.existing() }
            try await fails(.exists) { _ = try await SinkWrite(harness, ObjectKey("target"), [9], overwrite: policy) }
        }
        #expect(try directory.read("top/victim".utf8) == [1, 2, 3])
        #expect(try directory.temporaries().isEmpty)
        #expect(try directory.read("top/planted".utf8) == nil)
    }

    @Test func `a link that is planted before publication is neither followed nor replaced`() async throws {
        try directory.write("victim", [1, 2, 3])
        for policy in [OverwritePolicy.refuse, .overwrite] {
            let key = ObjectKey("t-\(policy.rawValue)")
            let write = try await SinkWrite(harness, key, [9, 9], overwrite: policy)
            try await write.sendAll()
            try directory.link("top/\(key)", to: "../victim")
            try await fails(.exists) { _ = try await write.commit() }
            await write.session.abort()
        }
        #expect(try directory.read("victim".utf8) == [1, 2, 3])
        #expect(try directory.temporaries().isEmpty)
    }

    @Test func `replacing one name of a file leaves its other names alone`() async throws {
        try directory.write("top/a", [1])
        #expect(link(directory.path + "/top/a", directory.path + "/top/b") == 0)
        _ = try await SinkWrite.store(harness, ObjectKey("a"), [2, 2], overwrite: .overwrite)
        #expect(try directory.read("top/a".utf8) == [2, 2])
        #expect(try directory.read("top/b".utf8) == [1])
    }

    @Test func `equal bytes that another session published meanwhile are success`() async throws {
        let bytes = SampleBytes.make(5000)
        let late = try await SinkWrite(harness, ObjectKey("same"), bytes)
        try await late.sendAll()
        _ = try await SinkWrite.store(harness, ObjectKey("same"), bytes)
        #expect(try await late.commit().size == 5000)
        #expect(try directory.files() == ["top/same"])
    }

    @Test func `a refusal names both sizes`() async throws {
        let late = try await SinkWrite(harness, ObjectKey("x"), [1, 2])
        try await late.sendAll()
        try directory.write("top/x", [7, 7, 7])
        let error = try await fails(.exists) { _ = try await late.commit() }
        #expect(error.message.contains("3 bytes") && error.message.contains("2 bytes"))
        await late.session.abort()
    }

    // MARK: - Names and places

    @Test func `directories that are missing are made, the root and its parents too`() async throws {
        let sink = try FileSink(path: directory.path + "/new/top/one.bin")
        #expect(try await !sink.isContainer())
        let target = try sink.target(ObjectKey(""))
        #expect(try await target.existing() == nil)
        #expect(try directory.files().isEmpty)
        let session = try await target.begin(plan(3))
        try await session.write(chunk([1, 2, 3]), at: 0)
        _ = try await session.commit(CommitRequest(size: 3, sha256: nil, receipts: []))
        #expect(try directory.read("new/top/one.bin".utf8) == [1, 2, 3])
        // new, root and the final name are each made durable by a sync of their directory.
        #expect(sink.group.counters.counts == SyncCounts(files: 1, fileSystems: 0, directories: 3))
    }

    @Test func `a name of 255 bytes is stored, one of 256 refused`() async throws {
        let key = ObjectKey(String(repeating: "n", count: 255))
        let bytes = try await SinkWrite.store(harness, key, [1])
        #expect(try harness.content(of: key) == bytes)
        try await fails(.unsafeName) { _ = try harness.sink().target(ObjectKey(String(repeating: "n", count: 256))) }
    }

    @Test func `a file in the place of a directory is named`() async throws {
        try directory.write("top/a", [1])
        let error = try await fails(.fileSystem) { _ = try await SinkWrite(harness, ObjectKey("a/b"), [1]) }
        #expect(error.description.contains("/top/a"))
    }

    @Test func `a finished file has the permissions that the umask leaves`() async throws {
        let write = try await SinkWrite(harness, ObjectKey("m"), [1])
        try await write.sendAll()
        let temporary = try #require(try directory.temporaries().first)
        #expect(try mode(temporary) == 0o600)
        _ = try await write.commit()
        #expect(try mode("top/m") == FileMode.finished)
    }

    @Test(arguments: [("Name:\tx\nUmask:\t0027\nState:", 0o027 as mode_t?), ("Umask:\t0000\n", 0), ("Name: x\n", nil)])
    func `the umask is read without setting it`(status: String, expected: mode_t?) {
        #expect(FileMode.mask(inStatus: Array(status.utf8)) == expected)
    }

    @Test func `a directory target is a container, and takes no bytes itself`() async throws {
        let sink = try FileSink(path: directory.path)
        #expect(try await sink.isContainer())
        let slashed = try FileSink(path: directory.path + "/not there/")
        #expect(try await slashed.isContainer())
        try await fails(.unsafeName) { _ = try slashed.target(ObjectKey("")) }
    }

    // MARK: - Sessions

    @Test func `a temporary that was linked but not unlinked is never written again`() async throws {
        // The lock goes with the session, as it goes with a process that dies.
        let saved = try await unfinished("k", [1, 2, 3])
        let temporary = try #require(try directory.temporaries().first)
        #expect(link(directory.path + "/" + temporary, directory.path + "/top/k") == 0)
        let second = try await SinkWrite(harness, ObjectKey("k"), [9, 9, 9], resume: saved)
        #expect(await second.session.record != saved.record)
        try await second.sendAll()
        await second.session.abort()
        #expect(try directory.files() == ["top/k"])
        #expect(try harness.content(of: ObjectKey("k")) == [1, 2, 3])
    }

    @Test(arguments: ["", "1 2 3", "1 0 0 ../../victim", "2 0 0 .x.sluice-0123456789abcdef.part", "1 -1 x y"])
    func `a record that is none starts anew`(record: String) async throws {
        let saved = SinkWrite.Saved(record: Array(record.utf8), receipts: [])
        let write = try await SinkWrite(harness, ObjectKey("k"), [1], resume: saved)
        try await write.sendAll()
        _ = try await write.commit()
        #expect(try harness.content(of: ObjectKey("k")) == [1])
    }

    @Test func `a session that another one holds is not shared`() async throws {
        let first = try await SinkWrite(harness, ObjectKey("k"), [1])
        let saved = await first.save()
        let second = try await SinkWrite(harness, ObjectKey("k"), [1], resume: saved)
        #expect(await second.session.record != saved.record)
        // Nor does clean-up take it from under them.
        #expect(try await harness.sink().cleanUp(olderThan: .zero, dryRun: false, known: .nothing).removed.isEmpty)
        await first.session.abort()
        await second.session.abort()
        #expect(try directory.temporaries().isEmpty)
    }

    @Test func `bytes that are missing at commit are an error with both sizes`() async throws {
        let write = try await SinkWrite(harness, ObjectKey("short"), SampleBytes.make(1000))
        try await write.session.write(chunk([1, 2, 3]), at: 0)
        let error = try await fails(.fileSystem) { _ = try await write.commit() }
        #expect(error.retry == .restart && error.message.contains("3 bytes") && error.message.contains("1000"))
        await write.session.abort()
        #expect(try directory.files().isEmpty)
    }

    @Test func `another file with the same content is adopted, one with other content is not`() async throws {
        let bytes = try await SinkWrite.store(harness, ObjectKey("a"), SampleBytes.make(3 << 20))
        let sink = try harness.sink()
        let stored = try #require(try await sink.target(ObjectKey("a")).existing())
        let digest = bytes.withUnsafeBytes { SHA256.hash($0) }
        let adopted = try await sink.target(ObjectKey("d/b")).adopt(stored, digest: digest, overwrite: .refuse)
        #expect(adopted?.size == UInt64(bytes.count))
        #expect(try harness.content(of: ObjectKey("d/b")) == bytes)
        let wrong = try await sink.target(ObjectKey("c"))
            .adopt(stored, digest: SHA256.hash("other"), overwrite: .refuse)
        #expect(wrong == nil)
        #expect(try directory.files() == ["top/a", "top/d/b"])
    }

    @Test func `clean-up of a single file leaves the temporaries of others alone`() async throws {
        try directory.write("top/.a.sluice-0123456789abcdef.part", [1])
        try directory.write("top/.b.sluice-0123456789abcdef.part", [1])
        try directory.write("top/sub/.a.sluice-0123456789abcdef.part", [1])
        let removed = try await FileSink(path: directory.path + "/top/a")
            .cleanUp(olderThan: .zero, dryRun: false, known: .nothing).removed
        #expect(removed == [directory.path + "/top/.a.sluice-0123456789abcdef.part"])
        #expect(try directory.files().count == 2)
    }

    // MARK: - Steps

    private func plan(_ size: UInt64) -> WritePlan {
        let info = ObjectInfo(size: size, pin: .weak(size: size, modified: nil), supportsRanges: true)
        return WritePlan(size: size, partSize: 1 << 20, info: info)
    }

    private func chunk(_ bytes: [UInt8]) -> Chunk { Chunk.chunks(of: bytes, from: BufferPool())[0] }

    private func mode(_ name: String) throws -> mode_t {
        var raw = stat()
        try SystemFailure.check("stat") { stat("\(directory.path)/\(name)", &raw) }
        return raw.st_mode & 0o777
    }

    private func unfinished(_ key: String, _ bytes: [UInt8]) async throws -> SinkWrite.Saved {
        let write = try await SinkWrite(harness, ObjectKey(key), bytes)
        try await write.sendAll()
        return await write.save()
    }
}

/// Runs `body`, which must fail with `code`, and hands the error on.
@discardableResult
func fails(_ code: SluiceError.Code, _ body: () async throws -> Void) async throws -> SluiceError {
    var found: SluiceError?
    do {
        try await body()
    } catch let error as SluiceError {
        found = error
    }
    let error = try #require(found, "nothing was thrown")
    #expect(error.code == code, "\(error)")
    return error
}
