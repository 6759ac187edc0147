import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct TreePlaceTests {
    private func place(_ path: String) throws -> TreePlace? {
        try TreePlace(path.split(separator: "/", omittingEmptySubsequences: false).map { Array($0.utf8) }, "cas:/x")
    }

    @Test(arguments: [
        ("llama", "files", "llama", nil, "", false), ("llama/", "files", "llama", nil, "", true),
        ("llama@v1/a/b.bin", "files", "llama", "v1", "a/b.bin", false),
        ("llama/icon@2x.png", "files", "llama", nil, "icon@2x.png", false),
        ("hf:org/name@abc/x", "hf", "org/name", "abc", "x", false),
        ("hf:org/name/x/", "hf", "org/name", nil, "x", true),
        ("hf:gpt2@main/x", "hf", "gpt2", "main", "x", false), ("civitai:123/x", "civitai", "123", nil, "x", false),
        ("a@b@c/x", "files", "a", "b@c", "x", false), ("a//b", "files", "a", nil, "b", false),
    ])
    func `a place is a kind, a name, a revision and a path`(
        text: String,
        kind: String,
        name: String,
        revision: String?,
        path: String,
        isContainer: Bool
    ) throws {
        let place = try #require(try place(text))
        #expect(place.kind == kind && place.name == name && place.revision == revision)
        #expect(place.path == ObjectKey(path) && place.namesContainer == isContainer)
    }

    @Test func `the store itself is no tree`() throws {
        #expect(try place("") == nil)
    }

    @Test(arguments: ["@v1/x", "a@/x", ":a/x", "hf:/x"])
    func `a part that is empty is refused`(text: String) throws {
        #expect(try failure { _ = try place(text) }.code == .usage)
    }

    @Test func `a reader without a revision takes the head, and else the main one`() throws {
        let fixture = try StoreFixture()
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        let place = try #require(try place("hf:org/name"))
        #expect(try place.revisionToRead(in: store).revision == "main")
        try writer.put("one", pool: fixture.pool)
        let name = try RevisionName(kind: "hf", name: "org/name", revision: "0123abc")
        let file = Manifest.File(path: ObjectKey("f"), size: ByteCount(3), digest: SHA256.hash("one"))
        #expect(try writer.commit(Manifest(name, [file]), branch: "main") == .committed)
        #expect(try place.revisionToRead(in: store) == name)
        // A writer would write where no reader looks.
        #expect(try failure { _ = try place.revisionToWrite(in: store) }.code == .usage)
        let named = try #require(try self.place("hf:org/name@main"))
        #expect(try named.revisionToRead(in: store) == name && named.revisionToWrite(in: store).revision == "main")
        try writer.point("refs/pr/1", to: name)
        #expect(TreePlace.written(branch: "refs/pr/1") == "refs%2Fpr%2F1")
        for written in ["refs%2Fpr%2F1", "refs%2fpr%2f1"] {
            #expect(try self.place("hf:org/name@\(written)/f")?.revisionToRead(in: store) == name)
        }
        #expect(try self.place("hf:org/name@refs%2Fpr%2F2")?.revisionToRead(in: store).revision == "refs%2Fpr%2F2")
        // A head that leads nowhere leads nobody astray; it goes with its revision.
        #expect(try store.remove(name) && store.head("main", kind: "hf", name: "org/name") == nil)
        #expect(try place.revisionToRead(in: store).revision == "main")
    }
}

@Suite struct TreeAdditionTests {
    let fixture: StoreFixture
    let share: StoreShare
    let stores: OpenStores
    let name: RevisionName

    init() throws {
        fixture = try StoreFixture()
        _ = try fixture.make()
        // Of the manual clock a heartbeat would never hear the end.
        stores = OpenStores(tool: "test", StoreContext(operations: fixture.operations))
        share = try #require(try stores.share(fixture.path))
        name = try RevisionName(name: "m")
    }

    private func file(_ path: String, _ text: String) -> Manifest.File {
        Manifest.File(
            path: ObjectKey(path),
            size: ByteCount(UInt64(text.utf8.count)),
            digest: SHA256.hash(text)
        )
    }

    private func addition(
        _ path: String,
        _ text: String,
        _ overwrite: OverwritePolicy = .refuse,
        replaces: String? = nil
    ) throws -> TreeAddition {
        let arrived = try share.writer().arrived(text, pool: fixture.pool)
        return TreeAddition(file(path, text), to: name, arrived: arrived, overwrite: overwrite, replaces: replaces)
    }

    private func run(_ batch: [TreeAddition]) throws -> [Result<Manifest.File, SluiceError>] {
        AdditionRound(share: share, writer: try share.writer()).run(batch)
    }

    @Test func `many files share one manifest, and each has its own outcome`() throws {
        let bad = TreeAddition(
            file("bad", "not this"),
            to: name,
            arrived: try share.writer().arrived("bytes", expected: SHA256.hash("not this"), pool: fixture.pool)
        )
        let batch = try [addition("a", "one"), bad, addition("b", "two"), addition("c", "one")]
        let outcomes = try run(batch)
        #expect(outcomes.map { (try? $0.get()) != nil } == [true, false, true, true])
        let tree = try #require(try share.store.tree(name))
        #expect(tree.manifests == 1 && tree.files.map(\.path) == ["a", "b", "c"].map { ObjectKey($0) })
        #expect(try fixture.blobs().count == 2 && fixture.mismatches().isEmpty)
    }

    @Test func `another file of the path stays, or gives way if it is the one that was seen`() throws {
        _ = try run([addition("a", "one")])
        let first = try #require(try share.tree(name).file(ObjectKey("a")))
        let refused = try run([addition("a", "two")])[0]
        #expect(throws: SluiceError.self) { try refused.get() }
        let changed = try run([addition("a", "two", .overwrite, replaces: "9:other")])[0]
        #expect(throws: SluiceError.self) { try changed.get() }
        #expect(try share.store.tree(name)?.file(ObjectKey("a")) == first)
        let replaced = try run([addition("a", "two", .overwrite, replaces: first.fingerprint)])[0].get()
        #expect(replaced.generation == 2)
        #expect(try share.store.tree(name)?.file(ObjectKey("a"))?.digest == SHA256.hash("two"))
        // The same again is no replacement.
        #expect(try run([addition("a", "two")])[0].get().generation == 2)
    }

    @Test func `two files of one path in one round: the second is refused`() throws {
        let outcomes = try run([addition("a", "one"), addition("a", "two"), addition("a", "one")])
        #expect(outcomes.map { (try? $0.get()) != nil } == [true, false, true])
        #expect(try share.store.tree(name)?.file(ObjectKey("a"))?.digest == SHA256.hash("one"))
    }

    @Test func `two that replace a file by the same content in one round both have replaced it`() throws {
        _ = try run([addition("a", "one")])
        let outcomes = try run([addition("a", "two", .overwrite), addition("a", "two", .overwrite)])
        #expect(try outcomes.map { try $0.get().generation } == [2, 2])
        #expect(try share.store.tree(name)?.file(ObjectKey("a"))?.digest == SHA256.hash("two"))
    }

    @Test func `what another host adds is seen before it is decided`() throws {
        _ = try share.tree(name).file(ObjectKey("a"))
        let other = OpenStores(tool: "other")
        let elsewhere = try #require(try other.share(fixture.path))
        let theirs = TreeAddition(
            file("a", "theirs"),
            to: name,
            arrived: try elsewhere.writer().arrived("theirs", pool: fixture.pool)
        )
        _ = try AdditionRound(share: elsewhere, writer: elsewhere.writer()).run([theirs])[0].get()
        let refused = try run([addition("a", "ours")])[0]
        #expect(throws: SluiceError.self) { try refused.get() }
        // Taken away by somebody: it may be written again.
        #expect(try share.store.remove(name))
        #expect(try run([addition("a", "ours")])[0].get().generation == 1)
        #expect(other.close().isEmpty)
    }

    @Test func `a blob that is not there fails its own file only`() throws {
        let gone = TreeAddition(file("gone", "nowhere"), to: name)
        let outcomes = try run([gone, addition("a", "one")])
        #expect(outcomes.map { (try? $0.get()) != nil } == [false, true])
        #expect(try share.store.tree(name)?.files.map(\.path) == [ObjectKey("a")])
    }

    @Test func `manifests are merged as they become many, and at the end`() throws {
        for number in 0..<AdditionRound.mergeFrom + 3 { _ = try run([addition("f\(number)", "one")])[0].get() }
        let tree = try #require(try share.store.tree(name))
        #expect(tree.files.count == AdditionRound.mergeFrom + 3 && tree.manifests < 8)
        #expect(stores.close().isEmpty)
        #expect(try share.store.tree(name)?.manifests == 1)
        #expect(try fixture.paths().allSatisfy { !$0.hasPrefix("leases/") && !$0.hasPrefix("tmp/") })
    }

    @Test func `what this process published or read is not read again to be merged`() throws {
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        try other.put("theirs", pool: fixture.pool)
        #expect(try other.commit(Manifest(name, [file("theirs", "theirs")])) == .committed)
        for number in 1...3 { _ = try run([addition("f\(number)", "one")])[0].get() }
        let before = opened()
        let merged = try share.writer().merge(name, known: share.tree(name).small)
        #expect(merged?.whole.files.count == 4 && merged?.replaced.count == 4)
        // Each is opened once, to see that none has gone meanwhile, and none is read.
        #expect(opened() - before == 4)
        #expect(try share.store.tree(name)?.files.count == 4)
    }

    private func opened() -> Int {
        fixture.operations.calls.count { $0.kind == .open && $0.path.hasPrefix("refs/") }
    }

    @Test func `a merge that another host's removal overtakes brings nothing back`() throws {
        for path in ["f1", "f2"] { _ = try run([addition(path, "one")])[0].get() }
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        let removed = Locked<[Int]>([])
        fixture.operations.spoil { [name] call, _ in
            // The merge has read all there is, and is about to publish it.
            if call.kind == .link, call.to.hasPrefix("refs/"), removed.withLock({ $0.isEmpty }) {
                let count = try? other.remove(from: name) { $0.path == ObjectKey("f1") }
                removed.withLock { $0.append(count ?? -1) }
            }
            return nil
        }
        #expect(try share.writer().merge(name) == nil && removed.withLock { $0 } == [1])
        let tree = try #require(try share.store.tree(name))
        #expect(tree.files.map(\.path) == [ObjectKey("f2")] && tree.manifests == 1)
    }

    @Test func `a merge that read one manifest more than a removal brings nothing back`() async throws {
        _ = try run([addition("f", "one")])
        let seen = try manifests()
        let (reads, goes, ends) = (Latch(), Latch(), Latch())
        let late = ScriptedOperations()
        let other = try StoreWriter(
            ContentStore.open(fixture.path, StoreContext(operations: late, time: fixture.time)),
            tool: "other"
        )
        // The removal has read the one manifest there is, and is about to take it.
        late.spoil { call, _ in
            guard call.kind == .rename, call.to.hasSuffix(".taken") else { return nil }
            reads.open()
            goes.block()
            return nil
        }
        async let removal = BlockingThread.run { [name] in
            defer { ends.open() }
            return try? other.remove(from: name) { $0.path == ObjectKey("f") }
        }
        await reads.wait()
        let writer = try share.writer()
        // Who takes the first by name wins: it has to be one that the removal does not know.
        repeat { try writer.publish(Manifest(name, [file("g", "two")])) } while try manifests().first == seen.first
        fixture.operations.spoil { call, _ in
            guard call.kind == .link, call.to.hasPrefix("refs/") else { return nil }
            goes.open()
            ends.block()
            return nil
        }
        let merged = await BlockingThread.run { [name] in try? writer.merge(name) }
        #expect(merged == nil)
        #expect(await removal == 1)
        #expect(try share.store.tree(name)?.files.map(\.path) == [ObjectKey("g")])
    }

    private func manifests() throws -> [String] { try fixture.paths().filter { $0.hasPrefix("refs/") }.sorted() }

    @Test func `a pin whose lease could not be written is written by the next try`() throws {
        let writer = try share.writer()
        let digest = SHA256.hash("pinned")
        fixture.operations.spoil { call, _ in
            call.kind == .rename && call.to.hasPrefix("leases/") ? .fail(EIO) : nil
        }
        #expect(throws: SluiceError.self) { try writer.pin([digest]) }
        fixture.operations.repair()
        try writer.pin([digest])
        let lease = try #require(try fixture.directory.read("store/leases/\(writer.id).json".utf8))
        #expect(String(decoding: lease, as: UTF8.self).contains(digest.hex))
    }

    @Test func `a file of the last generation is not replaced, and its tree stays readable`() throws {
        let first = Manifest.File(
            path: ObjectKey("a"),
            size: ByteCount(3),
            digest: SHA256.hash("one"),
            generation: Manifest.lastGeneration
        )
        let writer = try share.writer()
        try writer.put("one", pool: fixture.pool)
        #expect(try writer.commit(Manifest(name, [first])) == .committed)
        let refused = try run([addition("a", "two", .overwrite, replaces: first.fingerprint)])[0]
        let error = #expect(throws: SluiceError.self) { try refused.get() }
        #expect(error?.message.contains("last generation") == true)
        #expect(try share.store.tree(name)?.files == [first])
    }

    @Test func `a partial keeps its lease, and its own process takes it up`() throws {
        let writer = try share.writer()
        let staged = try writer.stage()
        for chunk in Chunk.chunks(of: Array("half".utf8), from: fixture.pool) { try staged.write(chunk, at: 0) }
        let again = try #require(try writer.takeUp(staged.record))
        #expect(try again.read(at: 0, limit: 10, pool: fixture.pool).count == 4)
        #expect(stores.close().isEmpty)
        #expect(try fixture.paths().contains { $0.hasPrefix("leases/") })
        // Another process does not touch what this one may still write.
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        #expect(try other.takeUp(staged.record) == nil)
        #expect(try writer.takeUp(Array("1 x ../y.part".utf8)) == nil && writer.takeUp([]) == nil)
    }

    @Test func `a partial of a process that is over is taken up in place`() throws {
        let writer = try share.writer()
        let staged = try writer.stage(for: SHA256.hash("whole"))
        for chunk in Chunk.chunks(of: Array("half".utf8), from: fixture.pool) { try staged.write(chunk, at: 0) }
        let path = "leases/\(writer.id).json"
        let lease = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        // No process has a number beyond the kernel's limit (PID_MAX_LIMIT, 4,194,304).
        try fixture.write(path, lease.replacing("\"pid\":\(getpid())", with: "\"pid\":4194305"))
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        let taken = try #require(try other.takeUp(staged.record))
        #expect(try taken.read(at: 0, limit: 10, pool: fixture.pool).count == 4)
        #expect(try fixture.paths().filter { $0.hasSuffix(".part") }.allSatisfy { $0.hasPrefix("tmp/\(other.id)/") })
    }

    /// Tests may run as root, whom no mode stops.
    private func refuseReadOnly() {
        fixture.operations.spoil { [path = fixture.path] call, _ in
            guard call.kind == .reopen, let status = try? FileStatus(Array("\(path)/\(call.path)".utf8)) else {
                return nil
            }
            return status.permissions & 0o200 == 0 ? .fail(EACCES) : nil
        }
    }

    @Test(arguments: [1, 2])
    func `what a writer had proven when it died is taken up, and what it had linked loses its other name`(links: Int)
        throws
    {
        let dead = try share.writer()
        let staged = try dead.stage(for: SHA256.hash("whole"))
        for chunk in Chunk.chunks(of: Array("whole".utf8), from: fixture.pool) { try staged.write(chunk, at: 0) }
        let part = try #require(try fixture.paths().first { $0.hasSuffix(".part") })
        #expect(chmod("\(fixture.path)/\(part)", 0o444) == 0)
        if links == 2 {
            #expect(mkdir("\(fixture.path)/blobs/sha256/xx", 0o755) == 0)
            #expect(link("\(fixture.path)/\(part)", "\(fixture.path)/blobs/sha256/xx/blob") == 0)
        }
        let path = "leases/\(dead.id).json"
        let lease = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        try fixture.write(path, lease.replacing("\"pid\":\(getpid())", with: "\"pid\":4194305"))
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "other")
        refuseReadOnly()
        let taken = try other.takeUp(staged.record)
        #expect((taken != nil) == (links == 1))
        #expect(try taken?.read(at: 0, limit: 10, pool: fixture.pool).count ?? 5 == 5)
        #expect(try fixture.paths().count { $0.hasSuffix(".part") } == (links == 1 ? 1 : 0))
        if links == 2 {
            #expect(try FileStatus(Array("\(fixture.path)/blobs/sha256/xx/blob".utf8)).permissions == 0o444)
        }
    }
}
