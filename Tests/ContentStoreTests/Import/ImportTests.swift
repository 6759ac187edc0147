import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// What an import did.
struct ImportResult {
    var revisions: [ImportedRevision] = []
    var files: [String: ImportOutcome] = [:]
    var errors: [String: SluiceError] = [:]
    var summary = ImportSummary()
}

extension ViewFixture {
    func bring(
        _ source: some RevisionImport,
        _ modes: [LinkMode] = [.reflink, .copy],
        calls: ViewCalls = ViewCalls()
    ) throws -> ImportResult {
        var options = ImportOptions()
        options.modes = modes
        let importer = try BlobImporter(writer, options, calls: calls, pool: fixture.pool)
        let result = Locked(ImportResult())
        let prefix = directory.path.utf8.count + 1
        let summary = try source.run(importer) { (file) throws(SluiceError) in
            result.withLock { result in
                let name = String(file.location.dropFirst(prefix))
                switch file.outcome {
                case .success(let outcome): result.files[name] = outcome
                case .failure(let error): result.errors[name] = error
                }
            }
        } body: { (revision) throws(SluiceError) in
            let name = try RevisionName(kind: revision.kind, name: revision.name, revision: revision.revision)
            guard try writer.commit(Manifest(name, revision.files), branch: revision.branches.first) == .committed
            else {
                throw SluiceError(.notFound, "blobs are missing")
            }
            result.withLock { $0.revisions.append(revision) }
        }
        return result.withLock { result in
            result.summary = summary
            return result
        }
    }

    /// Makes directories and files.
    func make(_ files: KeyValuePairs<String, String>) throws {
        for (path, text) in files { try directory.write(path, Array(text.utf8)) }
    }

    /// Everything below a directory, with inodes, modes and times: what an import must leave as it is.
    func state(of name: String) throws -> [String: FileStatus] {
        let names = try directory.files().filter { $0.hasPrefix("\(name)/") }
        return Dictionary(uniqueKeysWithValues: try names.map { ($0, try status($0)) })
    }
}

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

@Suite struct HuggingFaceImportTests {
    static let commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    static let other = "0000000000000000000000000000000000000001"
    static let braces = "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    let view: ViewFixture

    init() throws {
        view = try ViewFixture()
        try view.make([
            "hub/version.txt": "1",
            "hub/models--org--tiny/blobs/\(Self.braces)": "{}",
            "hub/models--org--tiny/blobs/\(SHA256.hash("weights").hex)": "weights",
            "hub/models--org--tiny/refs/main": Self.commit,
            "hub/models--org--tiny/refs/refs/pr/1": Self.other,
            "hub/models--org--tiny/refs/broken": "no commit",
            "hub/models--org--tiny/snapshots/\(Self.commit)/plain.txt": "plain",
            "hub/models--org--tiny/snapshots/\(Self.other)/.DS_Store": "junk",
        ])
        try snapshot("config.json", "../../blobs/\(Self.braces)")
        try view.directory.makeDirectory("\(Self.top)/snapshots/\(Self.commit)/onnx".utf8)
        try snapshot("onnx/model.bin", "../../../blobs/\(SHA256.hash("weights").hex)")
    }

    private static let top = "hub/models--org--tiny"

    private func snapshot(_ name: String, _ target: String, commit: String = Self.commit) throws {
        try view.directory.link("\(Self.top)/snapshots/\(commit)/\(name)", to: target)
    }

    private func location(_ name: String) -> String { "\(Self.top)/snapshots/\(Self.commit)/\(name)" }

    @Test func `a cache becomes revisions, hashed anew, and stays as it was`() throws {
        let before = try view.state(of: "hub")
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(result.errors.keys.sorted() == ["\(Self.top)/refs/broken"] && result.summary.revisions == 2)
        #expect(result.summary.incomplete == 0)
        let revision = try #require(result.revisions.first { $0.revision == Self.commit })
        #expect(revision.kind == "hf" && revision.name == "org/tiny" && revision.branches == ["main"])
        #expect(revision.files.map(\.path.text) == ["config.json", "onnx/model.bin", "plain.txt"])
        #expect(revision.files[0].alternates == [Manifest.Alternate(kind: "git-sha1", value: Self.braces)])
        let weights = SHA256.hash("weights")
        #expect(revision.files[1].digest == weights)
        #expect(revision.files[1].alternates == [Manifest.Alternate(kind: "etag", value: weights.hex)])
        #expect(revision.files[1].sources == ["hf://org/tiny@\(Self.commit)/onnx/model.bin"])
        #expect(result.revisions.first { $0.revision == Self.other }?.branches == ["refs/pr/1"])
        #expect(try view.store.head("main", kind: "hf", name: "org/tiny")?.revision == Self.commit)
        #expect(try view.state(of: "hub") == before && view.fixture.mismatches().isEmpty)
        let again = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(again.revisions == result.revisions && again.files[location("onnx/model.bin")] == .present)
    }

    @Test func `a directory that is no cache is told as such, and an empty cache is not`() throws {
        let error = try failure { _ = try view.bring(HuggingFaceImport(view.path(Self.top))) }
        #expect(error.code == .notFound && error.remedy?.contains("HF_HUB_CACHE") == true)
        try view.make(["empty/version.txt": "1"])
        #expect(try view.bring(HuggingFaceImport(view.path("empty"))).summary.revisions == 0)
    }

    @Test func `what was imported can be laid out again as the same cache`() throws {
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        let revision = try #require(result.revisions.first { $0.revision == Self.commit })
        let hub = try HuggingFaceView(view.store, cache: view.path("again"), pool: view.fixture.pool)
        _ = try hub.write(
            HuggingFaceRepository(.model, revision.name),
            commit: revision.revision,
            branches: revision.branches,
            revision.files
        )
        #expect(try view.text("again/models--org--tiny/blobs/\(Self.braces)") == "{}")
        #expect(try view.text("again/models--org--tiny/blobs/\(SHA256.hash("weights").hex)") == "weights")
    }

    @Test(arguments: [Self.braces, SHA256.hash("weights").hex])
    func `a blob that is not what its name says is an error with both, and its revision is left out`(
        etag: String
    ) throws {
        try view.make(["\(Self.top)/blobs/\(etag)": "rotten!"])
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(result.revisions.map(\.revision) == [Self.other] && result.summary.incomplete == 1)
        let error = try #require(result.errors.values.first { $0.code == .digestMismatch })
        #expect(error.message.contains(etag))
        #expect(result.files[location("plain.txt")] != nil)
        #expect(try !view.fixture.paths().contains { $0.hasSuffix(".part") || $0.hasPrefix("quarantine/") })
    }

    @Test(arguments: ["/etc/passwd", "../../../../secret", "../../../models--org--tiny/../../secret"])
    func `a link that leads out of the cache is refused`(target: String) throws {
        try view.make(["secret": "secret"])
        try snapshot("evil", target)
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(result.errors[location("evil")]?.code == .unsafeName && result.summary.incomplete == 1)
        #expect(try view.store.open(SHA256.hash("secret")) == nil)
    }

    @Test func `a repository directory that is a link is not followed`() throws {
        try view.make(["outside/snapshots/\(Self.commit)/x": "secret"])
        try view.directory.link("hub/models--org--linked", to: "../outside")
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(!result.revisions.contains { $0.name == "org/linked" })
        #expect(try view.store.open(SHA256.hash("secret")) == nil)
    }

    @Test func `blobs that repositories share are taken from where they are`() throws {
        let shared = "hub/blobs/ab/ab\(String(repeating: "0", count: 62))"
        let digest = SHA256.hash("shared weights").hex
        try view.make([shared: "shared weights"])
        try view.directory.link("\(Self.top)/blobs/\(digest)", to: "../../blobs/ab/\(shared.split(separator: "/")[3])")
        try snapshot("shared.bin", "../../blobs/\(digest)")
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(result.files[location("shared.bin")] == .taken(.copy) && result.summary.incomplete == 0)
    }

    @Test func `a snapshot that is named after no commit is told of, the others go on`() throws {
        try view.make(["\(Self.top)/snapshots/main/x": "x"])
        try view.directory.link("\(Self.top)/snapshots/\(Self.other)/dangling", to: "../../blobs/gone")
        let result = try view.bring(HuggingFaceImport(view.path("hub")))
        #expect(result.errors["\(Self.top)/snapshots/main"]?.code == .badAnswer)
        #expect(result.errors["\(Self.top)/snapshots/\(Self.other)/dangling"]?.code == .notFound)
        #expect(result.revisions.map(\.revision) == [Self.commit])
    }

    @Test func `one repository can be asked for`() throws {
        try view.make(["hub/datasets--org--d/snapshots/\(Self.commit)/x": "x"])
        let dataset = try HuggingFaceRepository(.dataset, "org/d")
        let result = try view.bring(HuggingFaceImport(view.path("hub"), only: dataset))
        #expect(result.revisions.map(\.kind) == ["hf-dataset"])
    }
}

@Suite struct OllamaImportTests {
    let view: ViewFixture
    static let model = "GGUF weights"
    static let config = #"{"model_format":"gguf"}"#
    static let place = "models/manifests/registry.ollama.ai/library/tiny/latest"

    init() throws {
        view = try ViewFixture()
        try view.make([
            "models/blobs/sha256-\(SHA256.hash(Self.model).hex)": Self.model,
            "models/blobs/sha256-\(SHA256.hash(Self.config).hex)": Self.config,
            Self.place: Self.manifest(),
        ])
    }

    private static func layer(_ text: String) -> String {
        #"{"mediaType":"m","digest":"sha256:\#(SHA256.hash(text).hex)","size":\#(text.utf8.count)}"#
    }

    private static func manifest(_ layers: [String] = [layer(model)]) -> String {
        #"{"schemaVersion":2,"config":\#(layer(config)),"layers":[\#(layers.joined(separator: ","))]}"#
    }

    @Test func `a tag becomes a revision whose checkout is an Ollama store`() throws {
        let before = try view.state(of: "models")
        let result = try view.bring(OllamaImport(view.path("models")))
        #expect(result.errors.isEmpty)
        let revision = try #require(result.revisions.first)
        #expect(revision.kind == "ollama" && revision.name == "library/tiny" && revision.branches == ["latest"])
        #expect(revision.revision == SHA256.hash(Self.manifest()).hex)
        #expect(try view.state(of: "models") == before)
        #expect(try view.place(revision.files).errors.isEmpty)
        for name in before.keys {
            #expect(try view.text("out/" + name.dropFirst("models/".count)) == view.text(name))
        }
    }

    @Test func `a model of another registry has its name with it`() throws {
        try view.make(["models/manifests/hf.co/org/m/Q4_K_M": Self.manifest()])
        let names = try view.bring(OllamaImport(view.path("models"))).revisions.map(\.name)
        #expect(names == ["hf.co/org/m", "library/tiny"])
    }

    @Test(arguments: [
        "", "{", "[]", #"{"layers":[]}"#,
        manifest([#"{"digest":"sha256:../../../etc/passwd","size":1}"#]),
        manifest([#"{"digest":"md5:00","size":1}"#]),
        manifest([#"{"digest":"sha256:\#(SHA256.hash(model).hex)","size":-1}"#]),
    ])
    func `a manifest that cannot be trusted is told of, the others go on`(text: String) throws {
        try view.make(["models/manifests/registry.ollama.ai/library/bad/latest": text])
        let result = try view.bring(OllamaImport(view.path("models")))
        #expect(result.errors["models/manifests/registry.ollama.ai/library/bad/latest"]?.code == .badAnswer)
        #expect(result.revisions.map(\.name) == ["library/tiny"])
    }

    @Test func `layers that are missing, damaged or of another size leave their tag out`() throws {
        let gone = #"{"digest":"sha256:\#(SHA256.hash("gone").hex)","size":4}"#
        let long = #"{"digest":"sha256:\#(SHA256.hash(Self.model).hex)","size":13}"#
        let rotten = Self.layer("fresh")
        try view.make([
            "models/manifests/registry.ollama.ai/library/gone/1": Self.manifest([gone]),
            "models/manifests/registry.ollama.ai/library/long/1": Self.manifest([long]),
            "models/manifests/registry.ollama.ai/library/rotten/1": Self.manifest([rotten]),
            "models/blobs/sha256-\(SHA256.hash("fresh").hex)": "stale",
        ])
        let result = try view.bring(OllamaImport(view.path("models")))
        #expect(result.revisions.map(\.name) == ["library/tiny"] && result.summary.incomplete == 3)
        #expect(Set(result.errors.values.map(\.code)) == [.notFound, .digestMismatch])
    }

    @Test func `a manifest that is too long is not read`() throws {
        try view.make([Self.place: String(repeating: " ", count: (4 << 20) + 1)])
        let result = try view.bring(OllamaImport(view.path("models")))
        #expect(result.errors[Self.place]?.code == .badAnswer && result.revisions.isEmpty)
    }

    @Test func `a blob that is a link out of the store is refused`() throws {
        try view.make(["secret": "secret"])
        let hex = SHA256.hash("secret").hex
        try view.directory.link("models/blobs/sha256-\(hex)", to: "../../secret")
        try view.make([Self.place: Self.manifest([Self.layer("secret")])])
        let result = try view.bring(OllamaImport(view.path("models")))
        #expect(result.errors["models/blobs/sha256-\(hex)"]?.code == .unsafeName && result.revisions.isEmpty)
    }
}
