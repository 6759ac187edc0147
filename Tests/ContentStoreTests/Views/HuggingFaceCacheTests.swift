import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct HuggingFaceCacheTests {
    private static let commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
    private let directory: TemporaryDirectory
    private let repository: HuggingFaceRepository
    private let files: [HuggingFaceCache.File]

    init() throws {
        directory = try TemporaryDirectory()
        repository = try HuggingFaceRepository(.model, "org/tiny")
        files = [("config.json", "{}"), ("onnx/model.bin", "weights"), ("copy.bin", "weights")].map { path, text in
            HuggingFaceCache.File(
                path: ObjectKey(path),
                size: UInt64(text.utf8.count),
                etag: SHA256.hash(text).hex,
                sha256: SHA256.hash(text)
            )
        }
        try put("blobs/\(SHA256.hash("{}").hex)", "{}")
        try put("blobs/\(SHA256.hash("weights").hex)", "weights")
    }

    private var top: String { "cache/models--org--tiny" }

    private func put(_ name: String, _ text: String) throws {
        let path = "\(top)/\(name)"
        let parents = path.split(separator: "/").dropLast()
        for count in 1...parents.count {
            _ = directory.bytes(parents.prefix(count).joined(separator: "/").utf8).withCPath { mkdir($0, 0o755) }
        }
        let file = try OwnedDescriptor.open(directory.bytes(path.utf8), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        try file.write(Array(text.utf8))
    }

    /// What a reader finds, who follows links.
    private func text(_ name: String) throws -> String? {
        guard let file = try? OwnedDescriptor.open(directory.bytes("\(top)/\(name)".utf8), O_RDONLY) else { return nil }
        var bytes = [UInt8](repeating: 0, count: 100)
        let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    private func cache(_ calls: ViewCalls = ViewCalls()) -> HuggingFaceCache {
        HuggingFaceCache(LocalPath(directory.bytes("cache".utf8)), calls: calls)
    }

    private func write(
        branch: String? = "main",
        replacing: Bool = false,
        _ calls: ViewCalls = ViewCalls()
    ) throws(SluiceError) {
        try cache(calls).write(
            repository,
            commit: Self.commit,
            branch: branch,
            files,
            tree: Array("tree".utf8),
            replacing: replacing
        )
    }

    private func failure(_ body: () throws -> Void) throws -> SluiceError {
        try #require(#expect(throws: SluiceError.self) { try body() })
    }

    @Test func `a revision over its blobs is found by its commit and its branch`() throws {
        #expect(!cache().has(repository, commit: Self.commit, branch: nil))
        try write(branch: "refs/pr/1")
        #expect(try text("snapshots/\(Self.commit)/onnx/model.bin") == "weights")
        #expect(try text("refs/refs/pr/1") == Self.commit && text("trees/\(Self.commit).json") == "tree")
        #expect(cache().has(repository, commit: Self.commit, branch: nil))
        #expect(cache().has(repository, commit: Self.commit, branch: "refs/pr/1"))
        #expect(!cache().has(repository, commit: Self.commit, branch: "main"))
        try put("refs/line", Self.commit + "\n")
        #expect(!cache().has(repository, commit: Self.commit, branch: "line"), "the hub's client does not find it")
        // Once more is the same, and a list of files that is there stays.
        try put("trees/\(Self.commit).json", "the client's own")
        try write(branch: "refs/pr/1")
        #expect(try text("trees/\(Self.commit).json") == "the client's own")
    }

    @Test func `the branch comes last, after what it names`() throws {
        let order = Locked<[String]>([])
        var calls = ViewCalls()
        calls.sync = { (file) throws(SystemFailure) in
            let path = file.realPath?.description ?? "?"
            order.withLock { $0.append(path.split(separator: "/").last.map(String.init) ?? "/") }
        }
        try write(calls)
        let names = order.withLock { $0 }
        let places = try ["blobs", "snapshots", "trees", "refs"].map { try #require(names.firstIndex(of: $0)) }
        #expect(places == places.sorted())
    }

    @Test func `without its blobs there is no revision`() throws {
        try put("blobs/\(SHA256.hash("weights").hex)", "weight")
        let error = try failure { try write() }
        #expect(error.code == .notFound && error.message.contains("6 bytes") && error.message.contains("7 bytes"))
        #expect(!(try directory.files()).contains { $0.contains("/snapshots/") || $0.contains("/refs/") })
    }

    @Test func `where there are no links a file has another name`() throws {
        var calls = ViewCalls()
        calls.symlink = { (_, _) throws(SystemFailure) in throw SystemFailure("symlink", EPERM) }
        try write(calls)
        #expect(try text("snapshots/\(Self.commit)/copy.bin") == "weights")
        calls.link = { (_, _) throws(SystemFailure) in throw SystemFailure("link", EPERM) }
        try put("refs/main", "")
        try write(calls)
        #expect(try text("refs/main") == Self.commit, "what is there is the same")
    }

    @Test func `what a snapshot has under a name is the same or an error`() throws {
        try put("snapshots/\(Self.commit)/config.json", "{}")
        try write()
        try put("snapshots/\(Self.commit)/config.json", "[]")
        let error = try failure { try write() }
        #expect(error.code == .exists && error.description.contains("config.json"))
        #expect(try failure { try write(replacing: true) }.code == .exists, "only links give way")
    }

    @Test func `a path that leads out is refused`() throws {
        let odd = HuggingFaceCache.File(
            path: ObjectKey("../x"),
            size: 2,
            etag: SHA256.hash("{}").hex,
            sha256: SHA256.hash("{}")
        )
        let error = try failure {
            try cache().write(repository, commit: Self.commit, branch: nil, [odd], tree: nil, replacing: true)
        }
        #expect(error.code == .unsafeName)
        #expect(
            try failure { try write(branch: "../main") }.code == .unsafeName
                && text("refs/main") == nil
        )
    }
}
