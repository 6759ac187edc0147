import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

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
