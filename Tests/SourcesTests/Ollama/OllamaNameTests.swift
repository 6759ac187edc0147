import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import SluiceTransport
import Testing

@testable import SluiceSources

@Suite("A name at a registry of Ollama")
struct OllamaNameTests {
    private static let hex = String(repeating: "0a", count: 32)

    @Test(
        "what a location names",
        arguments: [
            ("llama3", "ollama://library/llama3:latest"), ("llama3/", "ollama://library/llama3:latest"),
            ("llama3:8b", "ollama://library/llama3:8b"), ("me/mine:v1", "ollama://me/mine:v1"),
            ("hf.co/org/repo:Q4_K_M", "ollama://hf.co/org/repo:Q4_K_M"),
            ("127.0.0.1:5000/a/b", "ollama://127.0.0.1:5000/a/b:latest"),
            ("llama3:8b@sha256:\(hex)", "ollama://library/llama3:8b@sha256:\(hex)"),
            ("llama3@sha256:\(hex)/blobs", "ollama://library/llama3:latest@sha256:\(hex)/blobs"),
            ("llama3:8b/blobs/sha256-\(hex)", "ollama://library/llama3:8b/blobs/sha256-\(hex)"),
            ("llama3/manifests/h/a/b/c", "ollama://library/llama3:latest/manifests/h/a/b/c"),
            ("blobs/x:1/manifests", "ollama://blobs/x:1/manifests"), ("me/blobs:latest", "ollama://me/blobs:latest"),
        ]
    )
    func parse(text: String, location: String) throws {
        let name = try OllamaName(ObjectKey(text))
        #expect(name.location == location)
        #expect(try OllamaName(ObjectKey(String(location.dropFirst("ollama://".count)))) == name)
    }

    @Test(
        "what it refuses",
        arguments: [
            "", "/", "a/b/c/d", "a//b", "..", "a/..:x", "-a", "a:", "a:-x", "a:b:c", "a@", "a@sha256:12",
            "a@md5:\(hex)",
            "a@sha256:\(hex.uppercased())", "a b", "a%20b", "h st/a/b", "../a/b", "a/blobs/../x", "a/blobs//x",
            String(repeating: "a", count: 81), "\(String(repeating: "h", count: 351))/a/b", "ñ",
        ]
    )
    func refuse(text: String) {
        let failure = #expect(throws: SluiceError.self) { try OllamaName(ObjectKey(text)) }
        #expect(failure?.code == .usage)
    }

    @Test("where the program has the manifest")
    func place() throws {
        #expect(
            try OllamaName(ObjectKey("llama3")).manifestPath.text
                == "manifests/registry.ollama.ai/library/llama3/latest"
        )
        #expect(try OllamaName(ObjectKey("h:1/a/b:c")).manifestPath.text == "manifests/h:1/a/b/c")
    }

    @Test("pages of the library, and others")
    func pages() {
        #expect(OllamaName(urlPath: "/library/llama3")?.location == "ollama://library/llama3:latest")
        #expect(OllamaName(urlPath: "/library/llama3:8b/")?.location == "ollama://library/llama3:8b")
        #expect(OllamaName(urlPath: "/me/mine:v1")?.location == "ollama://me/mine:v1")
        for path in ["/", "/search", "/library", "/blog/news", "/library/a/tags", "/library/..", "/library/a@b"] {
            #expect(OllamaName(urlPath: path) == nil)
        }
    }

    // MARK: - Registries

    @Test(
        "which registry a name leads to, and whether the key goes there",
        arguments: [
            ("llama3", "https://standard.example", true), ("registry.ollama.ai/a/b", "https://standard.example", true),
            ("standard.example/a/b", "https://standard.example", true),
            ("standard.example:444/a/b", "https://standard.example:444", false),
            ("other.example/a/b", "https://other.example", false),
            ("127.0.0.1:5000/a/b", "http://127.0.0.1:5000", false),
            ("localhost/a/b", "http://localhost", false), ("127.0.0.2/a/b", "https://127.0.0.2", false),
        ]
    )
    func registries(text: String, origin: String, hasKey: Bool) throws {
        let time = SystemTime()
        let registries = OllamaRegistries(
            HubAccess(
                endpoint: try #require(HTTPURL("https://standard.example")),
                token: Secret("canary"),
                client: NoClient(),
                retrying: Retrying(resources: PipelineResources(memory: .mebibytes(64), time: time)),
                time: time
            )
        )
        let connection = try registries.source(rest: ObjectKey(text)).registry.connection
        #expect(connection.endpoint.origin == origin)
        #expect(connection.hasToken == hasKey)
    }

    // MARK: - Challenges

    @Test("where a token is asked for: at the registry, or nowhere")
    func challenges() throws {
        let registry = try #require(HTTPURL("https://r.example"))
        func address(_ field: String) -> String? { OllamaChallenge(field)?.address(at: registry)?.text }
        #expect(
            address("Bearer realm=\"https://r.example/token\",service=\"s t\",scope=\"repository:a/b:pull\"")
                == "https://r.example/token?service=s%20t&scope=repository%3Aa%2Fb%3Apull"
        )
        #expect(address("bearer scope=x , realm=https://r.example/t?a=b") == "https://r.example/t?a=b&scope=x")
        #expect(address("Bearer realm=\"https://r.ex\\ample/t\"") == "https://r.example/t")
        for field in [
            "Basic realm=\"https://r.example/t\"", "Bearer", "Bearer realm", "Bearer realm=", "Bearer realm=\"",
            "Bearer realm=\"https://evil.example/t\"", "Bearer realm=\"http://r.example/t\"", "Bearer ,,,=",
            "Bearer realm=\"https://r.example:444/t\"", "Bearer realm=\"https://u:p@r.example/t\"", "",
            "Bearer realm=\"//r.example/t\"", "Bearer realm=\"https://r.example.evil/t\"", "Bearer realm=\"\\",
        ] {
            #expect(address(field) == nil, "\(field)")
        }
    }
}

private struct NoClient: HTTPClient {
    func send(_ request: HTTPRequest) async throws -> HTTPResponse { throw TransportError(.other, "nobody is asked") }
}
