import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

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
