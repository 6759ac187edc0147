import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct DirectoryImportTests {
    let view: ViewFixture

    init() throws {
        view = try ViewFixture()
        try view.make(["tree/a": "one", "tree/b/c": "two", "tree/b/d": "one"])
    }

    private func source(revision: String? = nil) throws -> DirectoryImport {
        try DirectoryImport(view.path("tree"), kind: "dir", name: "My Tree", revision: revision, branches: ["main"])
    }

    @Test func `a tree becomes a revision, and stays as it was`() throws {
        let before = try view.state(of: "tree")
        let result = try view.bring(source())
        #expect(result.revisions.count == 1 && result.errors.isEmpty)
        let revision = result.revisions[0]
        #expect(revision.files.map(\.path.text) == ["a", "b/c", "b/d"] && revision.branches == ["main"])
        #expect(revision.files.map(\.digest) == ["one", "two", "one"].map { SHA256.hash($0) })
        #expect(revision.files.map(\.sources) == ["a", "b/c", "b/d"].map { ["\(view.path("tree"))/\($0)"] })
        #expect(try view.fixture.blobs().count == 2 && view.fixture.mismatches().isEmpty)
        #expect(try view.state(of: "tree") == before)
        #expect(result.summary.taken == [.copy: 2] && result.summary.present == 1 && result.summary.revisions == 1)
        // The same tree is the same revision.
        #expect(try view.bring(source()).revisions == [revision])
        try view.make(["tree/e": "new"])
        #expect(try view.bring(source()).revisions[0].revision != revision.revision)
        #expect(try view.bring(source(revision: "v2")).revisions[0].revision == "v2")
    }

    @Test func `links and pipes are told of and left out`() throws {
        try view.directory.link("tree/link", to: "/etc/passwd")
        try view.directory.link("tree/loop", to: ".")
        view.directory.bytes("tree/pipe".utf8).withCPath { _ = mkfifo($0, 0o600) }
        let result = try view.bring(source())
        #expect(result.files["tree/link"] == .skipped("a symbolic link"))
        #expect(result.files["tree/pipe"] == .skipped("a named pipe"))
        #expect(result.revisions[0].files.count == 3 && result.summary.skipped == 3)
    }

    @Test func `a hard link is made only if asked for, and is read-only from then on`() throws {
        let inode = try view.status("tree/b/c").inode
        let result = try view.bring(source(), [.hardlink, .copy])
        #expect(result.files["tree/b/c"] == .taken(.hardlink))
        #expect(try view.status("tree/b/c").inode == inode && view.status("tree/b/c").permissions == 0o444)
        #expect(try view.status(view.blob("two")).inode == inode)
    }

    @Test func `a file whose bytes are there already keeps its mode, and the blob gets no name more`() throws {
        _ = try view.bring(source(), [.copy])
        let result = try view.bring(source(), [.hardlink])
        #expect(result.files["tree/b/c"] == .present)
        #expect(try view.status("tree/b/c").permissions == 0o644 && view.status("tree/b/c").links == 1)
        #expect(try view.status(view.blob("two")).permissions == 0o444 && view.status(view.blob("two")).links == 1)
    }

    @Test func `a file that is linked and then not taken has its mode again`() throws {
        try view.make(["models/blobs/sha256-\(SHA256.hash("fresh").hex)": "stale"])
        let layer = #"{"digest":"sha256:\#(SHA256.hash("fresh").hex)","size":5}"#
        try view.make(["models/manifests/h/n/m/t": #"{"config":\#(layer),"layers":[]}"#])
        let result = try view.bring(OllamaImport(view.path("models")), [.hardlink])
        let blob = "models/blobs/sha256-\(SHA256.hash("fresh").hex)"
        #expect(result.errors[blob]?.code == .digestMismatch)
        #expect(try view.status(blob).permissions == 0o644 && view.status(blob).links == 1)
    }

    @Test(arguments: [EXDEV, EMLINK, EPERM])
    func `where a link cannot be a copy is made`(number: Int32) throws {
        var calls = ViewCalls()
        calls.linkFile = { (_, _) throws(SystemFailure) in throw SystemFailure("link", number) }
        #expect(try view.bring(source(), [.hardlink, .copy], calls: calls).files["tree/a"] == .taken(.copy))
        let error = try #require(try view.bring(source(), [.hardlink], calls: calls).errors["tree/b/c"])
        #expect(error.code == .unsupported && error.remedy?.contains("--link copy") == true)
    }

    @Test func `a symbolic link is no way into a store`() throws {
        #expect(try failure { _ = try view.bring(source(), [.symlink]) }.code == .usage)
    }

    @Test func `a file that cannot be read leaves the revision out, the others go on`() throws {
        var calls = ViewCalls()
        calls.clone = { (source, target) throws(SystemFailure) in
            throw SystemFailure("clone", try source.status().size == 3 ? EIO : ENOTSUP)
        }
        try view.make(["tree/long": "four"])
        let result = try view.bring(source(), calls: calls)
        #expect(result.revisions.isEmpty && result.summary.incomplete == 1 && result.errors.count == 3)
        #expect(result.files["tree/long"] == .taken(.copy))
        #expect(try !view.fixture.paths().contains { $0.hasSuffix(".part") })
    }

    @Test func `a name that the store cannot keep is refused before anything is read`() throws {
        let name = String(repeating: "N", count: 200)
        let error = try failure { _ = try DirectoryImport(view.path("tree"), kind: "dir", name: name) }
        #expect(error.code == .unsafeName)
    }

    @Test(.enabled(if: LoopFileSystem.isPossible("xfs")))
    func `XFS shares extents with the user's file`() throws { try checkReflinks("xfs") }

    @Test(.enabled(if: LoopFileSystem.isPossible("btrfs")))
    func `Btrfs shares extents with the user's file`() throws { try checkReflinks("btrfs") }

    private func checkReflinks(_ kind: String) throws {
        let system = try LoopFileSystem(kind)
        let store = try ContentStore.initialise(LocalPath(Array("\(system.mount)/store".utf8)))
        let writer = try StoreWriter(store, tool: "test")
        let text = Array(repeating: UInt8(ascii: "x"), count: 3 << 20)
        let tree = Array("\(system.mount)/tree".utf8)
        try SystemFailure.check("mkdir") { tree.withCPath { mkdir($0, 0o755) } }
        let file = try OwnedDescriptor.open(tree + Array("/m".utf8), O_RDWR | O_CREAT, mode: 0o644)
        try file.write(text)
        let importer = try BlobImporter(writer, pool: view.fixture.pool)
        let source = try DirectoryImport(LocalPath(tree), kind: "dir", name: "t")
        let outcomes = Locked<[ImportOutcome]>([])
        let summary = try source.run(importer) { (file) throws(SluiceError) in
            let outcome = try file.outcome.get()
            outcomes.withLock { $0.append(outcome) }
        } body: { (_) in
        }
        #expect(outcomes.withLock { $0 } == [.taken(.reflink)] && summary.taken == [.reflink: 1])
        let digest = text.withUnsafeBytes { SHA256.hash($0) }
        try file.write(Array("changed".utf8))
        let blob = try #require(try store.open(digest))
        #expect(try store.files.digest(of: blob.file, pool: view.fixture.pool, "").finalized() == digest)
    }
}
