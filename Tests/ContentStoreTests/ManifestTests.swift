import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct ManifestTests {
    let fixture: StoreFixture
    let store: ContentStore
    let writer: StoreWriter

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
        writer = try StoreWriter(store, tool: "test")
    }

    @Test func `a manifest comes back as it was published, with all that is known of its files`() throws {
        try writer.put("one", pool: fixture.pool)
        let name = try RevisionName(kind: "hf", name: "Org/Model_1", revision: "main")
        let files = [
            Manifest.File(
                path: ObjectKey(bytes: [0x61, 0xFF, 0x62]),
                size: ByteCount(3),
                digest: SHA256.hash("one"),
                alternates: [Manifest.Alternate(kind: "git-sha1", value: "43dd47ea691c90a5fa7827892c70241913351963")],
                sources: ["https://user:secret@host.example/one?X-Amz-Signature=secret"]
            ),
            Manifest.File(path: ObjectKey("a/b.txt"), size: ByteCount(3), digest: SHA256.hash("one")),
        ]
        let manifest = try Manifest(name, files)
        #expect(try writer.commit(manifest, branch: "main") == .committed)
        #expect(try store.tree(name)?.files == manifest.files)
        #expect(try store.head("main", kind: "hf", name: "Org/Model_1") == name)
        let path = try #require(fixture.paths().first { $0.hasPrefix("refs/hf/_org_-_model__1/main.") })
        let text = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        #expect(!text.contains("secret"))
        var seen: [RevisionName] = []
        try store.forEachManifest(as: BlobUse.self) { (name, _) in seen.append(name) }
        #expect(seen == [name])
        #expect(try store.remove(name) && !store.remove(name))
        #expect(try store.tree(name) == nil)
    }

    @Test func `invariant 2: a manifest is published only when all of its blobs are there`() throws {
        try writer.put("one", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .missing([SHA256.hash("two")]))
        #expect(try !fixture.paths().contains { $0.hasPrefix("refs/") })
        try writer.put("two", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .committed)
        // Once more is the same.
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .committed)
    }

    @Test func `writers add to one tree by manifests of their own, and all read the same`() throws {
        try writer.put("one", "two", "three", pool: fixture.pool)
        let name = try manifest("m").name
        func file(_ path: String, _ text: String, _ generation: Int = 1) -> Manifest.File {
            Manifest.File(
                path: ObjectKey(path),
                size: ByteCount(UInt64(text.utf8.count)),
                digest: SHA256.hash(text),
                generation: generation
            )
        }
        #expect(try writer.commit(Manifest(name, [file("a", "one"), file("b", "one")])) == .committed)
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        #expect(try other.commit(Manifest(name, [file("a", "two", 2), file("c", "three")])) == .committed)
        let expected = [file("a", "two", 2), file("b", "one"), file("c", "three")]
        #expect(try store.tree(name)?.files == expected && store.tree(name)?.manifests == 2)
        #expect(try store.revisions() == [name])
        #expect(try writer.merge(name)?.replaced.count == 2 && other.merge(name) == nil)
        #expect(try store.tree(name)?.files == expected && store.tree(name)?.manifests == 1)
        #expect(try store.tree(name)?.file(ObjectKey("b")) == file("b", "one"))
        #expect(try store.tree(name)?.file(ObjectKey("bb")) == nil)
        #expect(try writer.remove(from: name) { $0.path == ObjectKey("b") } == 1)
        #expect(try store.tree(name)?.files == [file("a", "two", 2), file("c", "three")])
        #expect(try writer.remove(from: name) { _ in true } == 2)
        #expect(try store.tree(name) == nil)
    }

    @Test func `of two that replace a file at once, everybody reads the same one`() throws {
        let name = try manifest("m").name
        let files = ["one", "two"].map { text in
            Manifest.File(
                path: ObjectKey("a"),
                size: ByteCount(3),
                digest: SHA256.hash(text),
                generation: 2
            )
        }
        let manifests = try files.map { try Manifest(name, [$0]) }
        let (one, other) = (Tree(name, manifests), Tree(name, manifests.reversed()))
        #expect(one?.files == other?.files && one?.files.count == 1)
    }

    @Test func `invariant 5: a reader and a collection see every file while manifests are merged`() throws {
        try writer.put("one", "two", pool: fixture.pool)
        let (first, second) = (try manifest("m", "1", "one"), try manifest("m", "1", "one", "two"))
        #expect(try writer.commit(first) == .committed && writer.commit(second) == .committed)
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "other")
        let merged = Locked(0)
        // After the directory was listed, before its first manifest is opened.
        fixture.operations.spoil { call, _ in
            guard call.kind == .open, call.path.hasPrefix("refs/") else { return nil }
            merged.withLock { merged in
                if merged == 0 { merged = (try? other.merge(first.name)?.replaced.count) ?? -1 }
            }
            return nil
        }
        var seen: Set<BlobKey> = []
        try store.forEachManifest(as: BlobUse.self) { (_, files) in seen.formUnion(files.map(\.blob)) }
        #expect(merged.withLock { $0 } == 2)
        #expect(seen == Set(second.blobs.keys))
    }

    @Test func `a manifest whose bytes changed is no manifest, and publishing it again heals it`() throws {
        try writer.put("one", pool: fixture.pool)
        let manifest = try manifest("m", "1", "one")
        #expect(try writer.commit(manifest) == .committed)
        let path = try #require(fixture.paths().first { $0.hasPrefix("refs/") })
        let bytes = try #require(try fixture.directory.read("store/\(path)".utf8))
        var flipped = bytes
        // A digit of the size: still JSON, still a manifest.
        let digit = try #require(flipped.firstIndex(of: UInt8(ascii: "3")))
        flipped[digit] ^= 1
        try fixture.directory.write("store/\(path)", flipped)
        #expect(try failure { _ = try store.tree(manifest.name) }.code == .digestMismatch)
        #expect(throws: SluiceError.self) { try store.forEachManifest(as: BlobUse.self) { (_, _) in } }
        #expect(try writer.commit(manifest) == .committed)
        #expect(try fixture.directory.read("store/\(path)".utf8) == bytes)
        #expect(try fixture.paths().contains { $0.hasPrefix("quarantine/") })
    }

    @Test func `invariant 5: a blob that went into the trash during a commit is linked back`() throws {
        try writer.put("one", pool: fixture.pool)
        let hex = SHA256.hash("one").hex
        let blob = "blobs/sha256/\(hex.prefix(2))/\(hex)"
        try fixture.directory.makeDirectory("store/trash/run".utf8)
        let (from, to) = (fixture.directory.bytes("store/\(blob)".utf8), "\(fixture.path)/trash/run/\(hex)")
        fixture.operations.spoil { call, _ in
            if call.kind == .link, call.to.hasPrefix("refs/") { _ = from.withCPath { rename($0, to) } }
            return nil
        }
        let inode = try fixture.inode(blob)
        #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
        #expect(try fixture.inode(blob) == inode)
    }

    @Test func `invariant 5: what a listing and stat show is not believed, only what opens`() throws {
        try writer.put("one", pool: fixture.pool)
        fixture.operations.spoil { call, _ in
            call.kind == .open && call.path == StoreFixture.blobPath("one") ? .fail(ENOENT) : nil
        }
        #expect(try writer.commit(manifest("m", "1", "one")) == .missing([SHA256.hash("one")]))
        #expect(try !fixture.paths().contains { $0.hasPrefix("refs/") })
    }

    @Test func `invariant 5: the pins of a commit are written before it looks at its blobs`() throws {
        try writer.put("one", pool: fixture.pool)
        let other = try StoreWriter(store, tool: "other")
        let pins = Locked<[BlobKey]>([])
        fixture.operations.spoil { [store] call, _ in
            guard call.kind == .open, call.path == StoreFixture.blobPath("one") else { return nil }
            let lease = try? ContentStore.open(store.path).lease(of: other.id, at: StoreTime(nanoseconds: 0))
            pins.withLock { $0 += lease?.lease.pins ?? [] }
            return nil
        }
        #expect(try other.commit(manifest("m", "1", "one")) == .committed)
        #expect(pins.withLock { $0.count } == 2)
    }

    @Test func `invariant 5: a blob that was removed during a commit is reported, not forgotten`() throws {
        try writer.put("one", pool: fixture.pool)
        let path = fixture.directory.bytes("store/\(try fixture.blobs()[0])".utf8)
        fixture.operations.spoil { call, _ in
            if call.kind == .link, call.to.hasPrefix("refs/") { _ = path.withCPath { unlink($0) } }
            return nil
        }
        #expect(try writer.commit(manifest("m", "1", "one")) == .missing([SHA256.hash("one")]))
        fixture.operations.repair()
        try writer.put("one", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
    }

    @Test func `invariant 7: a writer that sleeps in its commit looks at everything again`() throws {
        try writer.put("one", pool: fixture.pool)
        let path = fixture.directory.bytes("store/\(try fixture.blobs()[0])".utf8)
        let slept = Locked(false)
        fixture.operations.spoil { [fixture] call, _ in
            // After the look at the blob, before the manifest.
            guard call.kind == .syncDirectory, call.path == "blobs/sha256" else { return nil }
            slept.withLock { slept in
                if slept { return }
                slept = true
                fixture.time.advance(by: .seconds(4000))
                _ = path.withCPath { unlink($0) }
            }
            return nil
        }
        #expect(try writer.commit(manifest("m", "1", "one")) == .missing([SHA256.hash("one")]))
        #expect(try !fixture.paths().contains { $0.hasPrefix("refs/") })
    }

    @Test(arguments: ["", "/a", "a/../b", "..", "a//b", "a/", "./a", "a\u{0}b"])
    func `a path that leads out is no file of a manifest`(path: String) throws {
        let file = Manifest.File(path: ObjectKey(path), size: ByteCount(1), digest: SHA256.hash("x"))
        let name = try RevisionName(kind: "k", name: "n", revision: "1")
        #expect(try failure { _ = try Manifest(name, [file]) }.code == .unsafeName)
    }

    @Test(arguments: [
        "", "{", "[]", #"{"version":2,"kind":"model","name":"m","revision":"1","nonce":"n","files":[]}"#,
        #"{"version":1,"kind":"model","name":"other","revision":"1","nonce":"n","files":[]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","nonce":"n","files":[{"path":"a","size":-1,"sha256":""}]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","nonce":"n","files":[{"path":"a","size":1,"sha256":"ab"}]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","nonce":"n","files":[{"size":1e99,"sha256":"ab"}]}"#,
    ])
    func `a manifest that cannot be trusted is an error, and names its file`(text: String) throws {
        let file = "refs/model/m/1.\(SHA256.hash(text).hex).json"
        try fixture.write(file, text)
        let error = try failure { _ = try store.tree(manifest("m").name) }
        #expect(error.code == .badAnswer || error.code == .unsupported)
        #expect(error.object?.hasSuffix(file) == true)
        #expect(throws: SluiceError.self) { try store.forEachManifest(as: BlobUse.self) { (_, _) in } }
    }

    @Test func `a head that holds no revision is an error`() throws {
        try fixture.write("heads/model/m/main", "no line end")
        #expect(try failure { _ = try store.head("main", kind: "model", name: "m") }.code == .badAnswer)
        #expect(try store.head("other", kind: "model", name: "m") == nil)
    }
}
