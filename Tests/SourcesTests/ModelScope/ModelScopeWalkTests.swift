import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

/// A repository as the hub lists it: cut at a cap, or in pages.
private struct Repository {
    var files: Set<String>
    var cap = 10
    var pageSize = 10
    var tellsTotal = true

    func page(_ ask: ModelScopeWalk.Ask) throws -> ModelScopePage {
        let start = ask.root.bytes.isEmpty ? "" : ask.root.text + "/"
        var paths = Set(files)
        for file in files {
            let parts = file.split(separator: "/")
            for count in 1..<max(1, parts.count) { paths.insert(parts[..<count].joined(separator: "/")) }
        }
        let below = paths.filter { path in
            path.hasPrefix(start) && (ask.isRecursive || !path.dropFirst(start.count).contains("/"))
        }
        .sorted()
        var shown = below[...]
        if let page = ask.page {
            shown = below.dropFirst((page - 1) * pageSize).prefix(pageSize)
        } else {
            shown = below.prefix(cap)
        }
        return ModelScopePage(
            entries: shown.map(entry),
            count: shown.count,
            total: ask.page != nil && tellsTotal ? below.count : nil,
            bytes: []
        )
    }

    func entry(_ path: String) -> ModelScopeEntry {
        guard files.contains(path) else { return .directory(ObjectKey(path), touched: nil) }
        return .file(ModelScopeFile(path: ObjectKey(path), size: 1, sha256: SHA256.hash(path)))
    }
}

@Suite("A listing of ModelScope")
struct ModelScopeWalkTests {
    private func found(
        _ repository: Repository,
        pages: Bool = false,
        _ change: @escaping (Int, ModelScopeWalk.Ask, ModelScopePage) -> ModelScopePage = { $2 }
    ) async throws -> (files: Set<String>, requests: Int) {
        var requests = 0
        var walk = ModelScopeWalk(object: "ms://o/n", hasPages: pages, cap: repository.cap) { ask in
            requests += 1
            return change(requests, ask, try repository.page(ask))
        }
        let files = try await walk.everything(below: ObjectKey("")).files
        return (Set(files.map(\.path.text)), requests)
    }

    @Test("finds all files of any tree whose directories are not too large themselves", arguments: 1...40)
    func all(seed: UInt64) async throws {
        var random = seed &* 0x9E37_79B9_7F4A_7C15
        func next(_ limit: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % limit
        }
        var files: Set<String> = []
        for number in 0..<next(120) {
            let depth = next(4)
            let parts = (0..<depth).map { _ in "d\(next(3))" }
            files.insert((parts + ["f\(number % 5)"]).joined(separator: "/"))
        }
        #expect(try await found(Repository(files: files)).files == files)
        #expect(try await found(Repository(files: files), pages: true).files == files)
        #expect(try await found(Repository(files: files, tellsTotal: false), pages: true).files == files)
    }

    @Test("a small repository costs one request")
    func small() async throws {
        #expect(try await found(Repository(files: ["a", "b/c"])).requests == 1)
        #expect(try await found(Repository(files: ["a", "b/c"]), pages: true).requests == 1)
        #expect(try await found(Repository(files: ["a"], tellsTotal: false), pages: true).requests == 2)
    }

    @Test("a directory that cannot be listed whole is an error, and never a short listing")
    func flat() async throws {
        let files = Set((0..<12).map { "d/\($0)" })
        let failure = await #expect(throws: SluiceError.self) { try await found(Repository(files: files)) }
        #expect(failure?.code == .unsupported)
        #expect(failure?.message.contains("the directory d has 10 entries") == true)
    }

    @Test("what changed between two requests is no listing")
    func moved() async throws {
        let files = Set((0..<18).map { "\($0 % 3)/\($0)" })
        let later = Repository(files: files.union(["new"]))
        func change(_ turn: Int, _ number: Int, _ ask: ModelScopeWalk.Ask, _ page: ModelScopePage) -> ModelScopePage {
            number < turn ? page : (try? later.page(ask)) ?? page
        }
        for turn in 3...6 {
            let failure = await #expect(throws: SluiceError.self) {
                try await found(Repository(files: files)) { change(turn, $0, $1, $2) }
            }
            #expect(failure?.code == .sourceChanged, "from request \(turn) on")
        }
        // The first answer was a claim only: what came after it is one listing.
        #expect(try await found(Repository(files: files)) { change(2, $0, $1, $2) }.files == later.files)
    }

    @Test("a listing that goes out of its directory, or names a path twice, is none")
    func lies() async throws {
        let files = Set((0..<18).map { "\($0 % 3)/\($0)" })
        let other = Repository(files: ["elsewhere/x"]).entry("elsewhere/x")
        for isTwice in [true, false] {
            let failure = await #expect(throws: SluiceError.self) {
                try await found(Repository(files: files)) { _, ask, page in
                    guard ask.root.text == "1" else { return page }
                    let entries = page.entries + (isTwice ? page.entries.suffix(1) : [other])
                    return ModelScopePage(entries: entries, count: entries.count, total: nil, bytes: [])
                }
            }
            #expect(failure?.code == .badAnswer)
        }
    }

    @Test("pages have to be as many as the hub says, and end")
    func pages() async throws {
        let repository = Repository(files: Set((0..<25).map { "\($0)" }))
        for total in [24, 26, -1] {
            let failure = await #expect(throws: SluiceError.self) {
                try await found(repository, pages: true) { _, _, page in
                    ModelScopePage(entries: page.entries, count: page.count, total: total, bytes: [])
                }
            }
            #expect(failure?.code == .badAnswer)
        }
        let endless = await #expect(throws: SluiceError.self) {
            try await found(Repository(files: repository.files, tellsTotal: false), pages: true) { _, ask, page in
                (try? repository.page(ModelScopeWalk.Ask(root: ask.root, isRecursive: true, page: 1))) ?? page
            }
        }
        #expect(endless?.code == .limit || endless?.code == .badAnswer)
    }
}
