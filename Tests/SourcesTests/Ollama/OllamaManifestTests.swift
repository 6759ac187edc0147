import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("A manifest of Ollama")
struct OllamaManifestTests {
    private static func layer(_ name: String, _ size: String = "7", more: String = "") -> String {
        "{\"mediaType\":\"application/vnd.ollama.image.model\",\"digest\":\"\(SHA256.hash(name))\",\"size\":\(size)\(more)}"
    }

    private static func json(_ layers: String..., config: String? = nil) -> String {
        "{\"schemaVersion\": 2, \"config\":\(config ?? layer("config")), \"layers\":[\(layers.joined(separator: ","))]}\n"
    }

    private func manifest(_ json: String) throws -> OllamaManifest {
        try OllamaManifest(Array(json.utf8), "ollama://x")
    }

    @Test("keeps its bytes, and has each blob once")
    func blobs() throws {
        let json = Self.json(Self.layer("a"), Self.layer("b", "0"), Self.layer("a"))
        let manifest = try manifest(json)
        #expect(manifest.bytes == Array(json.utf8))
        #expect(manifest.digest == SHA256.hash(json))
        #expect(manifest.layers.map(\.digest) == ["config", "a", "b"].map { SHA256.hash($0) })
        #expect(manifest.layers.map(\.size) == [7, 7, 0])
        #expect(manifest.layers[1].path.text == "blobs/sha256-\(SHA256.hash("a").hex)")
    }

    @Test(
        "what is no manifest",
        arguments: [
            ("", SluiceError.Code.badAnswer), ("[]", .badAnswer), ("{}", .badAnswer),
            ("{\"schemaVersion\":1}", .badAnswer),
            ("{\"schemaVersion\":2,\"layers\":[]}", .badAnswer), ("{\"schemaVersion\":1e300}", .badAnswer),
            ("{\"schemaVersion\":2,\"manifests\":[{\"digest\":1}]}", .unsupported),
            (json(layer("a", "-1")), .badAnswer), (json(layer("a", "9223372036854775807")), .badAnswer),
            (json(layer("a", "99999999999999999999")), .badAnswer), (json(layer("a", "1.5")), .badAnswer),
            (json(layer("a"), layer("a", "8")), .badAnswer), (json("{\"digest\":\"sha256:\",\"size\":1}"), .badAnswer),
            (json("{\"digest\":\"sha256:../../x\",\"size\":1}"), .badAnswer),
            (json("{\"digest\":\"sha512:\(SHA256.hash("a").hex)\",\"size\":1}"), .badAnswer),
            (json("{\"digest\":\"SHA256:\(SHA256.hash("a").hex)\",\"size\":1}"), .badAnswer),
            (json(layer("a", more: ",\"urls\":[\"https://elsewhere\"]")), .unsupported),
        ]
    )
    func none(json: String, code: SluiceError.Code) {
        let failure = #expect(throws: SluiceError.self) { try manifest(json) }
        #expect(failure?.code == code)
    }

    @Test("sizes that are too much together are refused, and sum up without a trap")
    func sums() throws {
        let layers = (0..<5_000).map { Self.layer("\($0)", "\(HubAnswer.largestFile)") }.joined(separator: ",")
        let failure = #expect(throws: SluiceError.self) { try manifest(Self.json(layers)) }
        #expect(failure?.message.contains("more than can be") == true)
    }
}
