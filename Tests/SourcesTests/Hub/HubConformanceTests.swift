import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import SluiceTransport
import Synchronization
import Testing

@testable import SluiceSources

/// A hub with one file, on loopback: what the hubs' sources read in the rules of all sources.
final class HubFixture: SourceHarness {
    typealias Answer = ScriptedServer.Answer

    /// How one kind of hub is asked for the file, and what it answers.
    struct Kind: Sendable {
        /// - Parameter bytes: of the file; nil if there is none.
        let answer: @Sendable (_ request: ScriptedServer.Request, _ path: String, _ bytes: [UInt8]?) -> Answer
        let object: @Sendable (_ hub: HTTPURL, _ client: any HTTPClient, _ bytes: [UInt8]) throws -> any SourceObject
    }

    private final class Content: Sendable {
        let bytes = Mutex<[UInt8]?>(nil)
        let last = Mutex<[UInt8]>([])
    }

    private let kind: Kind
    private let content = Content()
    private let server: ScriptedServer
    private let transport = CurlTransport(TransportConfiguration(), pool: BufferPool())

    init(_ kind: Kind) {
        self.kind = kind
        server = ScriptedServer { [content] _, request in
            let parts = request.line.split(separator: " ")
            return kind.answer(request, parts.count > 1 ? String(parts[1]) : "", content.bytes.withLock { $0 })
        }
    }

    func stop() {
        transport.shutdown()
        server.stop()
    }

    func put(_ bytes: [UInt8]) {
        content.bytes.withLock { $0 = bytes }
        content.last.withLock { $0 = bytes }
    }

    func remove() { content.bytes.withLock { $0 = nil } }

    func object() throws -> any SourceObject {
        let hub = try #require(HTTPURL("http://127.0.0.1:\(server.port)"))
        return try kind.object(hub, transport, content.last.withLock { $0 })
    }

    // MARK: - Answers

    static func answer(_ status: Int, _ fields: [String] = [], _ body: [UInt8] = []) -> Answer {
        let head = ["HTTP/1.1 \(status) X", "Content-Length: \(body.count)"] + fields
        return Answer(.text(head.joined(separator: "\r\n") + "\r\n\r\n"), .bytes(body))
    }

    static func json(_ text: String) -> Answer { answer(200, ["Content-Type: application/json"], Array(text.utf8)) }

    /// The file, or the range of it that was asked for.
    static func file(_ request: ScriptedServer.Request, _ bytes: [UInt8], _ fields: [String]) -> Answer {
        let text = (request.field("Range") ?? "").split(separator: "=").last ?? ""
        let numbers = text.split(separator: "-").compactMap { Int($0) }
        guard numbers.count == 2, numbers[0] < bytes.count else { return answer(200, fields, bytes) }
        let last = min(numbers[1], bytes.count - 1)
        let range = "Content-Range: bytes \(numbers[0])-\(last)/\(bytes.count)"
        return answer(206, fields + [range], Array(bytes[numbers[0]...last]))
    }

    static func access(_ hub: HTTPURL, _ client: any HTTPClient) -> HubAccess {
        let resources = PipelineResources(memory: .mebibytes(64), time: SystemTime())
        let retrying = Retrying(resources: resources)
        return HubAccess(endpoint: hub, token: nil, client: client, retrying: retrying, time: resources.time)
    }

    static func digest(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { SHA256.hash($0) } }
}

extension HubFixture.Kind {
    /// A branch whose commit is named after the file; an address at an old commit answers for the new one.
    static let huggingFace = HubFixture.Kind { request, path, bytes in
        guard let bytes else { return HubFixture.answer(404, ["X-Error-Code: RepoNotFound"]) }
        let sha256 = HubFixture.digest(bytes).hex
        let commit = sha256.prefix(40)
        if path.hasPrefix("/api/models/o/n/revision/") { return HubFixture.json("{\"sha\":\"\(commit)\"}") }
        if path.hasPrefix("/api/models/o/n/paths-info/") {
            let large = "{\"oid\":\"\(sha256)\",\"size\":\(bytes.count)}"
            return HubFixture.json(
                "[{\"type\":\"file\",\"oid\":\"\(commit)\",\"size\":\(bytes.count),\"path\":\"f\",\"lfs\":\(large)}]"
            )
        }
        return HubFixture.file(request, bytes, ["X-Repo-Commit: \(commit)", "ETag: \"\(sha256)\""])
    } object: { hub, client, _ in
        let hub = HuggingFaceHub(HubFixture.access(hub, client))
        return try HuggingFaceSource(rest: ObjectKey("o/n/f"), hub: hub).object(ObjectKey(""))
    }

    static let modelScope = HubFixture.Kind { request, path, bytes in
        if path.hasPrefix("/api/v1/models/o/n/repo/files") {
            let entry = bytes.map {
                "{\"Path\":\"f\",\"Type\":\"blob\",\"Size\":\($0.count),\"Sha256\":\"\(HubFixture.digest($0).hex)\"}"
            }
            return HubFixture.json("{\"Code\":200,\"Success\":true,\"Data\":{\"Files\":[\(entry ?? "")]}}")
        }
        guard let bytes else { return HubFixture.answer(404) }
        return HubFixture.file(request, bytes, ["X-Linked-ETag: \"\(HubFixture.digest(bytes).hex)\""])
    } object: { hub, client, _ in
        let hub = ModelScopeHub(HubFixture.access(hub, client))
        return try ModelScopeSource(rest: ObjectKey("o/n/f"), hub: hub).object(ObjectKey(""))
    }

    /// A tag that moves to a manifest of the new file; the old one is gone.
    static let ollama = HubFixture.Kind { request, path, bytes in
        guard let bytes else { return HubFixture.answer(404) }
        let digest = HubFixture.digest(bytes)
        if path == "/v2/library/m/manifests/latest" {
            let config = "{\"digest\":\"\(HubFixture.digest([1, 2]))\",\"size\":2}"
            let layer = "{\"digest\":\"\(digest)\",\"size\":\(bytes.count)}"
            return HubFixture.json("{\"schemaVersion\":2,\"config\":\(config),\"layers\":[\(layer)]}")
        }
        guard path == "/v2/library/m/blobs/\(digest)" else { return HubFixture.answer(404) }
        return HubFixture.file(request, bytes, [])
    } object: { hub, client, bytes in
        let registry = OllamaRegistry(HubFixture.access(hub, client))
        let name = try OllamaName(ObjectKey("m/blobs/sha256-\(HubFixture.digest(bytes).hex)"))
        return try OllamaSource(name, registry: registry).object(ObjectKey(""))
    }
}

@Suite("The sources of hubs", .timeLimit(.minutes(10)))
struct HubConformanceTests {
    private func run(_ check: SourceConformance, _ kind: HubFixture.Kind) async throws {
        let fixture = HubFixture(kind)
        defer { fixture.stop() }
        try await check.run(fixture)
    }

    @Test("that of Hugging Face keeps the rules of all sources", arguments: SourceConformance.allCases)
    func huggingFace(check: SourceConformance) async throws { try await run(check, .huggingFace) }

    @Test("that of ModelScope keeps the rules of all sources", arguments: SourceConformance.allCases)
    func modelScope(check: SourceConformance) async throws { try await run(check, .modelScope) }

    @Test("that of Ollama keeps the rules of all sources", arguments: SourceConformance.allCases)
    func ollama(check: SourceConformance) async throws { try await run(check, .ollama) }
}
