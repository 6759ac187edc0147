import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import SluiceTransport
import Synchronization
import Testing

@testable import SluiceSources

/// Answers by path and query, and keeps the requests.
private final class ScriptedHub: HTTPClient {
    private let answers: Mutex<[String: [HTTPResponse]]>
    private let kept = Mutex<[HTTPRequest]>([])

    init(_ answers: [String: [HTTPResponse]]) { self.answers = Mutex(answers) }

    var requests: [String] { kept.withLock { $0.map { "\($0.method) \($0.url.text)" } } }
    var tokens: [String?] { kept.withLock { $0.map { $0.headers["Authorization"] } } }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        kept.withLock { $0.append(request) }
        let key = request.url.path + (request.url.query.map { "?" + $0 } ?? "")
        return try answers.withLock { answers in
            guard let first = answers[key]?.first else { throw TransportError(.other, "\(key) was not scripted") }
            if answers[key, default: []].count > 1 { answers[key]?.removeFirst() }
            return first
        }
    }
}

@Suite("A Hugging Face repository as a source")
struct HuggingFaceSourceTests {
    private static let commit = String(repeating: "1c", count: 20)
    private static let other = String(repeating: "2d", count: 20)
    private static let oid = "ce013625030ba8dba906f756967f9e9ca394464a"

    private static func answer(_ status: Int, _ body: String = "", _ headers: HTTPHeaders = [:]) -> HTTPResponse {
        let pool = BufferPool()
        var builder = pool.makeBuilder()
        Array(body.utf8).withUnsafeBytes { _ = builder.append($0) }
        var headers = headers
        headers["Content-Length"] = "\(body.utf8.count)"
        let chunks = body.isEmpty ? [] : [builder.freeze()]
        return HTTPResponse(status: status, headers: headers, body: ChunkListStream(chunks), lengthIsProven: true)
    }

    /// Made anew for each test: a body is read once.
    private static var info: [String: [HTTPResponse]] {
        ["/api/models/o/n/revision/main?expand=sha": [answer(200, "{\"sha\":\"\(commit)\"}")]]
    }
    private static let tree = "/api/models/o/n/tree/\(commit)?recursive=true&expand=false"

    private static func page(_ paths: String..., next: String? = nil) -> HTTPResponse {
        let entries = paths.map { "{\"type\":\"file\",\"oid\":\"\(oid)\",\"size\":6,\"path\":\"\($0)\"}" }
        return answer(200, "[\(entries.joined(separator: ","))]", next.map { ["Link": "<\($0)>; rel=\"next\""] } ?? [:])
    }

    private func hub(_ client: any HTTPClient, endpoint: String = "https://hub.example") throws -> HuggingFaceHub {
        let time = ManualTime(advancesItself: true)
        let resources = PipelineResources(memory: .mebibytes(64), time: time)
        return HuggingFaceHub(
            HubAccess(
                endpoint: try #require(HTTPURL(endpoint)),
                token: Secret("hf_canary"),
                client: client,
                retrying: Retrying(resources: resources),
                time: time
            )
        )
    }

    private func listed(_ source: HuggingFaceSource) async throws -> [String] {
        var names: [String] = []
        for try await item in source.list(recursive: true) {
            switch item {
            case .entry(let entry): names.append(entry.location)
            case .skipped(let error): names.append(error.code.rawValue)
            }
        }
        return names
    }

    @Test("pages of one commit, which is asked for once")
    func pages() async throws {
        let client = ScriptedHub(
            Self.info.merging([
                Self.tree: [Self.page("a", "d/b", next: "https://hub.example/api/next?cursor=1")],
                "/api/next?cursor=1": [Self.page("c", "../x")],
            ]) { $1 }
        )
        let source = try HuggingFaceSource(rest: ObjectKey("o/n"), hub: hub(client))
        let at = "hf://o/n@\(Self.commit)/"
        #expect(try await listed(source) == [at + "a", at + "d/b", at + "c", "unsafe_name"])
        #expect(client.requests.count == 3)
        #expect(client.tokens.allSatisfy { $0 == "Bearer hf_canary" })
        // What was listed is known: nothing more is asked before bytes are wanted.
        let opened = try await source.object(ObjectKey("d/b")).open(
            prefetch: 0,
            options: ReadOptions(pool: BufferPool())
        )
        #expect(opened.info.published == [Digest(.gitSHA1, hex: Self.oid)])
        #expect(opened.info.publishedInstead?.hex == Self.oid)
        #expect(client.requests.count == 3)
    }

    @Test(
        "a page elsewhere is not asked for: the token would go along",
        arguments: [
            "https://evil.example/api", "https://hub.example:444/api", "http://hub.example/api",
            "https://u@hub.example/",
            "//evil.example/", "/relative", "ftp://hub.example/", "",
        ]
    )
    func foreignPages(next: String) async throws {
        let client = ScriptedHub(Self.info.merging([Self.tree: [Self.page("a", next: next)]]) { $1 })
        let source = try HuggingFaceSource(rest: ObjectKey("o/n"), hub: hub(client))
        let failure = await #expect(throws: SluiceError.self) { try await listed(source) }
        #expect(failure?.code == .badAnswer)
        #expect(client.requests.count == 2)
    }

    @Test("pages in a circle, and a name that comes twice, are no listing", arguments: [true, false])
    func lies(circle: Bool) async throws {
        let again = circle ? "https://hub.example" + Self.tree : "https://hub.example/api/next"
        let client = ScriptedHub(
            Self.info.merging([Self.tree: [Self.page("a", next: again)], "/api/next": [Self.page("b", "a")]]) { $1 }
        )
        let source = try HuggingFaceSource(rest: ObjectKey("o/n"), hub: hub(client))
        let failure = await #expect(throws: SluiceError.self) { try await listed(source) }
        #expect(failure?.code == .badAnswer)
        #expect(failure?.message.contains(circle ? "circle" : "twice") == true)
    }

    @Test("files that nobody listed are asked for together")
    func together() async throws {
        let paths = (0..<20).map { "f\($0)" }
        let entries = paths.map { "{\"type\":\"file\",\"oid\":\"\(Self.oid)\",\"size\":6,\"path\":\"\($0)\"}" }
        let info = Self.answer(200, "[\(entries.joined(separator: ","))]")
        let client = ScriptedHub(["/api/models/o/n/paths-info/\(Self.commit)": [info]])
        let hub = try hub(client)
        let gate = Latch()
        let found = try await withThrowingTaskGroup(of: String?.self) { group in
            for path in paths + ["none"] {
                group.addTask {
                    await gate.wait()
                    return try await hub.file(
                        HuggingFacePlace(.model, "o/n", revision: Self.commit, path: ObjectKey(path))
                    )
                    .map { "\($0.path)" }
                }
            }
            gate.open()
            return try await group.reduce(into: [String?]()) { $0.append($1) }
        }
        #expect(Set(found.compactMap { $0 }) == Set(paths))
        #expect(found.count == 21)
        #expect(client.requests.count < 21)
    }

    @Test(
        "what contradicts the tree on the way to the bytes is another version",
        arguments: ["X-Repo-Commit", "X-Linked-ETag", "X-Linked-Size"]
    )
    func contradiction(field: String) async throws {
        let values: [String: String] = [
            "X-Repo-Commit": Self.other, "X-Linked-ETag": "\"\(Self.other)\"", "X-Linked-Size": "7",
        ]
        let client = ScriptedHub([
            "/api/models/o/n/paths-info/\(Self.commit)": [Self.page("a")],
            "/o/n/resolve/\(Self.commit)/a": [Self.answer(200, "hello\n", [field: try #require(values[field])])],
        ])
        let object = try HuggingFaceSource(rest: ObjectKey("o/n@\(Self.commit)/a"), hub: hub(client)).object(
            ObjectKey("")
        )
        let failure = await #expect(throws: SluiceError.self) {
            try await object.open(prefetch: 100, options: ReadOptions(pool: BufferPool()))
        }
        #expect(failure?.code == .sourceChanged)
        #expect(failure?.retry == .restart)
        #expect(failure?.message.contains(try #require(values[field]).filter { $0 != "\"" }) == true)
    }

    @Test("where the hub leads small files, they are asked for from then on, until it does not answer there")
    func shortcut() async throws {
        let cache = "/api/resolve-cache/models/o/n/\(Self.commit)/"
        let plain = Self.answer(200, "hello\n", ["X-Repo-Commit": Self.commit])
        var answers = ["/api/models/o/n/paths-info/\(Self.commit)": [Self.page("a", "b", "c", "d")]]
        for name in ["a", "b", "c", "d"] {
            answers["/o/n/resolve/\(Self.commit)/\(name)"] = [
                name == "a" ? Self.answer(307, "", ["Location": cache + "a?x=1"]) : plain
            ]
            answers[cache + name] = [name == "c" ? Self.answer(400) : plain]
        }
        answers[cache + "a?x=1"] = [plain]
        let client = ScriptedHub(answers)
        let hub = try hub(client)
        for name in ["a", "b", "c", "d"] {
            let place = ObjectKey("o/n@\(Self.commit)/\(name)")
            let object = try HuggingFaceSource(rest: place, hub: hub).object(ObjectKey(""))
            let opened = try await object.open(prefetch: 100, options: ReadOptions(pool: BufferPool()))
            #expect(opened.info.size == 6)
        }
        let asked = client.requests.dropFirst().map { $0.dropFirst("GET https://hub.example".count) }
        let resolve = "/o/n/resolve/\(Self.commit)/"
        #expect(
            asked
                == [resolve + "a", cache + "a?x=1", cache + "b", cache + "c", resolve + "c", resolve + "d"].map {
                    $0[...]
                }
        )
    }

    @Test("a mirror may be below a path, and its pages are recognised there")
    func belowAPath() async throws {
        let prefix = "/repo/hf"
        let client = ScriptedHub([prefix + "/api/models/o/n/revision/main?expand=sha": [Self.answer(404)]])
        let hub = try hub(client, endpoint: "https://mirror.example" + prefix + "/")
        let page = try #require(HTTPURL("https://mirror.example/repo/hf/o/n/blob/main/a"))
        #expect(HuggingFaceSource(page: page, hub: hub)?.location == "hf://o/n@main/a")
        #expect(
            HuggingFaceSource(page: try #require(HTTPURL("https://mirror.example/o/n/blob/main/a")), hub: hub) == nil
        )
        #expect(HuggingFaceSource(page: try #require(HTTPURL("https://hub.example/o/n/blob/main/a")), hub: hub) == nil)
        let failure = await #expect(throws: SluiceError.self) {
            try await listed(HuggingFaceSource(rest: ObjectKey("o/n"), hub: hub))
        }
        #expect(failure?.remedy == "see https://mirror.example/repo/hf/o/n")
    }

    @Test("a repository that was renamed is followed within the hub, and nowhere else", arguments: [true, false])
    func renamed(within: Bool) async throws {
        let target = (within ? "" : "https://evil.example") + "/api/models/o/new/revision/main?expand=sha"
        let client = ScriptedHub([
            "/api/models/o/n/revision/main?expand=sha": [Self.answer(307, "", ["Location": target])],
            "/api/models/o/new/revision/main?expand=sha": [Self.answer(200, "{\"sha\":\"\(Self.commit)\"}")],
        ])
        let hub = try hub(client)
        let place = HuggingFacePlace(.model, "o/n")
        if within {
            #expect(try await hub.commit(place) == Self.commit)
        } else {
            await #expect(throws: SluiceError.self) { try await hub.commit(place) }
            #expect(client.requests.count == 1)
        }
    }
}
