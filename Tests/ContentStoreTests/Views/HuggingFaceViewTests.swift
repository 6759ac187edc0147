import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct HuggingFaceViewTests {
    static let commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    let view: ViewFixture
    let repository: HuggingFaceRepository
    let files: [Manifest.File]

    init() throws {
        view = try ViewFixture()
        repository = try HuggingFaceRepository(.model, "org/tiny")
        let plain = try view.files(["config.json": "{}", "onnx/model.bin": "weights", "copy.json": "{}"])
        let alternates = [[], [Manifest.Alternate(kind: "etag", value: SHA256.hash("weights").hex)], []]
        files = zip(plain, alternates).map { file, alternates in
            Manifest.File(path: file.path, size: file.size, digest: file.digest, alternates: alternates)
        }
    }

    /// `git hash-object` of `{}` and of nothing.
    private static let gitOfBraces = "9e26dfeeb6e641a33dae4961196235bdb965b21b"
    private static let gitOfNothing = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

    @discardableResult
    private func write(
        branches: [String] = ["main"],
        _ options: PlacementOptions = PlacementOptions(),
        files: [Manifest.File]? = nil,
        cache: String? = nil,
        calls: ViewCalls = ViewCalls()
    ) throws -> PlacementSummary {
        let cache = cache.map { view.path($0) }
        let hub = try HuggingFaceView(view.store, cache: cache, options, calls: calls, pool: view.fixture.pool)
        return try hub.write(repository, commit: Self.commit, branches: branches, files ?? self.files)
    }

    private func target(_ name: String) throws -> String {
        let slash = try #require(name.lastIndex(of: "/"))
        let parent = try OwnedDescriptor.open(view.directory.bytes(name[..<slash].utf8), O_RDONLY | O_DIRECTORY)
        let link = try parent.destination(ofLink: Array(name[name.index(after: slash)...].utf8))
        return String(decoding: link, as: UTF8.self)
    }

    @Test func `a revision is laid out as huggingface_hub has it`() throws {
        let summary = try write(branches: ["main", "refs/pr/1"])
        #expect(summary.placed == [.hardlink: 2] && summary.present == 1)
        let top = "store/hub/models--org--tiny"
        let blob = SHA256.hash("weights").hex
        #expect(try view.text("\(top)/refs/main") == Self.commit && view.text("\(top)/refs/refs/pr/1") == Self.commit)
        #expect(try target("\(top)/snapshots/\(Self.commit)/config.json") == "../../blobs/\(Self.gitOfBraces)")
        #expect(try target("\(top)/snapshots/\(Self.commit)/onnx/model.bin") == "../../../blobs/\(blob)")
        #expect(try TemporaryDirectory.names(view.directory.path + "/\(top)") == ["blobs", "refs", "snapshots"])
        #expect(try view.status("\(top)/blobs/\(blob)").isSameFile(as: view.status(view.blob("weights"))))
        // Once more is the same.
        #expect(try write().present == 3)
    }

    @Test func `any directory can be the cache, and datasets and spaces have names of their own`() throws {
        for (kind, prefix) in [(HuggingFaceKind.dataset, "datasets--"), (.space, "spaces--")] {
            let hub = try HuggingFaceView(view.store, cache: view.path("cache"), pool: view.fixture.pool)
            _ = try hub.write(HuggingFaceRepository(kind, "tiny"), commit: Self.commit, branches: [], files)
            #expect(try view.directory.files().contains("cache/\(prefix)tiny/snapshots/\(Self.commit)/config.json"))
        }
    }

    @Test func `a snapshot appears whole or not at all`() throws {
        let missing = Manifest.File(path: ObjectKey("x"), size: ByteCount(1), digest: SHA256.hash("x"))
        let error = try failure { try write(files: files + [missing]) }
        #expect(error.code == .notFound && error.message.contains("1 of 4 files"))
        let paths = try view.directory.files()
        #expect(!paths.contains { $0.contains("/snapshots/") || $0.contains("/refs/m") })
        var calls = ViewCalls()
        calls.symlink = { (target, at) throws(SystemFailure) in
            if at.name == Array("model.bin".utf8) { throw SystemFailure("symlink", ENOSPC) }
            try at.directory.symlink(target, as: at.name)
        }
        #expect(try failure { try write(calls: calls) }.code == .noSpace)
        let top = view.directory.path + "/store/hub/models--org--tiny"
        #expect(try TemporaryDirectory.names(top) == ["blobs"])
    }

    @Test func `the branch comes last, after the snapshot is durable`() throws {
        let order = Locked<[String]>([])
        var calls = ViewCalls()
        calls.sync = { (file) throws(SystemFailure) in
            let path = file.realPath?.description ?? "?"
            order.withLock { $0.append(path.split(separator: "/").last.map(String.init) ?? "/") }
        }
        try write(calls: calls)
        let names = order.withLock { $0 }
        let snapshots = try #require(names.firstIndex(of: "snapshots"))
        let refs = try #require(names.firstIndex(of: "refs"))
        #expect(try #require(names.firstIndex(of: "blobs")) < snapshots && snapshots < refs)
    }

    @Test func `a mount without symbolic links gets files`() throws {
        var calls = ViewCalls()
        calls.symlink = { (_, _) throws(SystemFailure) in throw SystemFailure("symlink", EPERM) }
        try write(calls: calls)
        let path = "store/hub/models--org--tiny/snapshots/\(Self.commit)/onnx/model.bin"
        #expect(try view.status(path).kind == .regular && view.text(path) == "weights")
    }

    @Test func `a snapshot that huggingface_hub began is completed, what it has is left`() throws {
        let top = "cache/models--org--tiny"
        for name in ["cache", top, "\(top)/blobs", "\(top)/snapshots", "\(top)/snapshots/\(Self.commit)"] {
            try view.directory.makeDirectory(name.utf8)
        }
        try view.directory.write("\(top)/blobs/\(Self.gitOfBraces)", Array("{}".utf8))
        try view.directory.link("\(top)/snapshots/\(Self.commit)/config.json", to: "../../blobs/\(Self.gitOfBraces)")
        let before = try view.status("\(top)/blobs/\(Self.gitOfBraces)")
        try write(cache: "cache")
        #expect(try view.status("\(top)/blobs/\(Self.gitOfBraces)") == before)
        #expect(try target("\(top)/snapshots/\(Self.commit)/copy.json") == "../../blobs/\(Self.gitOfBraces)")
    }

    @Test func `what other content has in a snapshot is refused, and replaced only if asked`() throws {
        try write()
        let path = "store/hub/models--org--tiny/snapshots/\(Self.commit)/config.json"
        _ = view.directory.bytes(path.utf8).withCPath { unlink($0) }
        try view.directory.link(path, to: "../../blobs/\(SHA256.hash("weights").hex)")
        #expect(try failure { try write() }.code == .exists)
        try write(PlacementOptions(overwrite: true))
        #expect(try target(path) == "../../blobs/\(Self.gitOfBraces)")
    }

    @Test func `a wrong Git name that two files have is not believed twice`() throws {
        let wrong = [Manifest.Alternate(kind: "git-sha1", value: Self.gitOfNothing)]
        let twice = files.map { Manifest.File(path: $0.path, size: $0.size, digest: $0.digest, alternates: wrong) }
        try write(files: twice)
        let snapshot = view.directory.bytes("store/hub/models--org--tiny/snapshots/\(Self.commit)/onnx/model.bin".utf8)
        #expect(try FileStatus(snapshot, following: true).size == 7)
    }

    @Test(arguments: ["../evil", "a/../b", "", "/abs", "a\u{0}"])
    func `a branch that leads out of refs is refused`(branch: String) throws {
        #expect(try failure { try write(branches: [branch]) }.code == .unsafeName)
        #expect(try !view.directory.files().contains { $0.contains("/hub/") })
    }

    @Test(arguments: ["main", "", "607A30D783DFA663CAF39E06633721C8D4CFCD7E", "../x"])
    func `a revision that is no commit is none of such a cache`(commit: String) throws {
        let hub = try HuggingFaceView(view.store, pool: view.fixture.pool)
        let error = try failure { _ = try hub.write(repository, commit: commit, branches: [], files) }
        #expect(error.code == .unsupported)
    }

    @Test func `invariant 10: links into the store are not made here`() throws {
        #expect(try failure { try write(PlacementOptions([.symlink])) }.code == .usage)
    }

    @Test func `invariant 10: nothing that is done to the view harms the store`() throws {
        try write()
        let blobs = try view.fixture.blobs()
        try run("rm", "-rf", "\(view.directory.path)/store/hub")
        #expect(try view.fixture.blobs() == blobs && view.fixture.mismatches().isEmpty)
        #expect(try view.store.open(SHA256.hash("weights"))?.links == 1)
    }

    // MARK: - Names

    @Test(arguments: [
        "", "a/b/c", "a--b", "../x", "a/..", "/a", "a/", "-a", "a-", ".a", "a b", "a\u{0}", "é",
        String(repeating: "n", count: 97),
    ])
    func `a name that the Hub does not give is refused`(name: String) throws {
        #expect(try failure { _ = try HuggingFaceRepository(.model, name) }.code == .unsafeName)
    }

    @Test(arguments: ["gpt2", "org/name", "Org-1/na.me_2", "a-b/c-d-e"])
    func `a repository comes back from its directory's name`(name: String) throws {
        for kind in HuggingFaceKind.allCases {
            let repository = try HuggingFaceRepository(kind, name)
            #expect(HuggingFaceRepository(directory: repository.directory) == repository)
            #expect(HuggingFaceKind(manifestKind: kind.manifestKind) == kind)
        }
        #expect(HuggingFaceRepository(directory: Array("models--a--b--c".utf8)) == nil)
        #expect(HuggingFaceRepository(directory: Array("version.txt".utf8)) == nil)
    }

    @Test(
        arguments: [
            ([("etag", SHA256.hash("x").hex), ("git-sha1", gitOfNothing)], 1, SHA256.hash("x").hex),
            ([("git-sha1", gitOfNothing)], 1, gitOfNothing),
            ([("etag", gitOfNothing)], 1, gitOfNothing),
            ([("xet-hash", "00"), ("git-sha1", gitOfNothing)], 1, SHA256.hash("x").hex),
            ([("git-sha1", "../../../../etc/passwd")], 1, nil),
            ([], 1, nil),
            ([], 11 << 20, SHA256.hash("x").hex),
        ] as [([(String, String)], Int, String?)]
    )
    func `the etag is the Hub's`(alternates: [(String, String)], size: Int, expected: String?) {
        let file = Manifest.File(
            path: ObjectKey("x"),
            size: ByteCount(UInt64(size)),
            digest: SHA256.hash("x"),
            alternates: alternates.map { Manifest.Alternate(kind: $0.0, value: $0.1) }
        )
        #expect(HuggingFaceEtag(file) == expected.map { .known($0) } ?? .computed)
    }
}
