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
        let name = try ManifestName(kind: "hf", name: "Org/Model_1", revision: "main")
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
        #expect(try store.manifest(name) == manifest)
        #expect(try store.head("main", kind: "hf", name: "Org/Model_1") == name)
        let path = "refs/hf/_org_-_model__1/main.json"
        let text = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        #expect(!text.contains("secret"))
        var seen: [ManifestName] = []
        try store.forEachManifest { seen.append($0.name) }
        #expect(seen == [name])
        #expect(try store.remove(name) && !store.remove(name))
        #expect(try store.manifest(name) == nil)
    }

    @Test func `a manifest is published only when all of its blobs are there`() throws {
        try writer.put("one", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .missing([SHA256.hash("two")]))
        #expect(try !fixture.paths().contains { $0.hasPrefix("refs/") })
        try writer.put("two", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .committed)
        // Once more is the same.
        #expect(try writer.commit(manifest("m", "1", "one", "two")) == .committed)
    }

    @Test func `a revision is never changed`() throws {
        try writer.put("one", "two", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "one")) == .committed)
        let error = try failure { _ = try writer.commit(manifest("m", "1", "two")) }
        #expect(error.code == .exists && error.remedy != nil)
        #expect(try store.manifest(manifest("m").name) == manifest("m", "1", "one"))
    }

    @Test func `a blob that went into the trash during a commit is linked back`() throws {
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

    @Test func `a blob that was removed during a commit is reported, not forgotten`() throws {
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

    @Test func `a writer that sleeps in its commit looks at everything again`() throws {
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
        let name = try ManifestName(kind: "k", name: "n", revision: "1")
        #expect(try failure { _ = try Manifest(name, [file]) }.code == .unsafeName)
    }

    @Test(arguments: [
        "", "{", "[]", #"{"version":2,"kind":"model","name":"m","revision":"1","files":[]}"#,
        #"{"version":1,"kind":"model","name":"other","revision":"1","files":[]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","files":[{"path":"a","size":-1,"sha256":""}]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","files":[{"path":"a","size":1,"sha256":"ab"}]}"#,
        #"{"version":1,"kind":"model","name":"m","revision":"1","files":[{"size":1e99,"sha256":"ab"}]}"#,
    ])
    func `a manifest that cannot be trusted is an error, and names its file`(text: String) throws {
        try fixture.write("refs/model/m/1.json", text)
        let error = try failure { _ = try store.manifest(manifest("m").name) }
        #expect(error.code == .badAnswer || error.code == .unsupported)
        #expect(error.object?.hasSuffix("refs/model/m/1.json") == true)
        #expect(throws: SluiceError.self) { try store.forEachManifest { _ in } }
    }

    @Test func `a head that holds no revision is an error`() throws {
        try fixture.write("heads/model/m/main", "no line end")
        #expect(try failure { _ = try store.head("main", kind: "model", name: "m") }.code == .badAnswer)
        #expect(try store.head("other", kind: "model", name: "m") == nil)
    }
}
