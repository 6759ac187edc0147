import SluiceBytes
import SluiceMirror
import SluicePipeline
import Testing

@testable import SluiceCLI

@Suite struct ModelListTests {
    private func list(_ text: String, target: String? = nil) throws -> [ModelList.Model] {
        try ModelList(text, path: "m.yaml", target: try target.map(Resolver.location)).models
    }

    @Test func `defaults hold where a model says nothing`() throws {
        let models = try list(
            """
            defaults: {to: all/, rev: main, include: "*.json", priority: -3, layout: hf-cache}
            models:
              - hf://o/a
              - {source: hf://o/b, rev: [v1, v2], include: ["/x/"], exclude: "*.bin", priority: 7, layout: plain}
            """
        )
        #expect(models.map { "\($0.source)" } == ["hf://o/b", "hf://o/a"] && models.map(\.line) == [4, 3])
        #expect(models.map(\.revisions) == [["v1", "v2"], ["main"]] && models.map(\.priority) == [7, -3])
        #expect(models.map(\.layout) == [.plain, .huggingFaceCache])
        #expect(models.map(\.selection) == ["--exclude *.bin --include /x/", "--include *.json"])
    }

    @Test func `alternates are a model's own`() throws {
        let models = try list("models: [{source: hf://o/a, alternates: [/nas/a, s3://b/a/]}, hf://o/b]", target: "t/")
        #expect(models.map { $0.alternates.map(\.text) } == [["/nas/a", "s3://b/a/"], []])
        #expect(throws: SluiceError.self) {
            try list("{defaults: {alternates: [/nas/a]}, models: [hf://o/b]}", target: "t/")
        }
    }

    @Test func `the example of the documentation is one`() throws {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
        let page = try MirrorBatch.text(of: root + "/docs/mirror.md")
        let start = try #require(page.firstRange(of: "```yaml\n")?.upperBound)
        let end = try #require(page[start...].firstRange(of: "\n```")?.lowerBound)
        let models = try list(String(page[start..<end]))
        #expect(models.map { "\($0.source)" } == ["hf://org/two", "hf://org/one", "hf://datasets/org/three"])
        #expect(models.map(\.targets.count) == [2, 2, 2] && models[1].targets.allSatisfy(\.isShared))
    }

    @Test func `what is excluded stays out, whatever is included`() throws {
        let model = try #require(
            try list("models: [{source: hf://o/a, to: x, include: '*.bin', exclude: a.bin}]").first
        )
        #expect(model.filter.accepts(ObjectKey("b.bin")) && !model.filter.accepts(ObjectKey("a.bin")))
    }

    @Test func `only places that several may share have names below them`() throws {
        let text = """
            defaults: {also: [s3://b/all/]}
            models: [hf://o/a, {source: hf://o/b, to: b}, {source: hf://o/c, to: c, also: []}]
            """
        let models = try list(text, target: "rest")
        #expect(
            models.map { $0.targets.map { "\($0.location) \($0.isShared)" } } == [
                ["rest true", "s3://b/all/ true"], ["b false", "s3://b/all/ true"], ["c false"],
            ]
        )
    }

    @Test func `equal priorities keep the order of the file`() throws {
        let text =
            "defaults: {to: x}\nmodels:\n"
            + (0..<50).map { "- {source: hf://o/m\($0), priority: \($0 % 2)}\n" }.joined()
        let names = try list(text).map { "\($0.source)" }
        let odd = (0..<50).filter { $0 % 2 == 1 } + (0..<50).filter { $0 % 2 == 0 }
        #expect(names == odd.map { "hf://o/m\($0)" })
    }

    @Test(
        "what may be an anchor or an alias is found on its line",
        arguments: [
            ("a: &x 1", 1), ("a:\n- *x", 2), ("[&x]", 1), ("{*x : 1}", 1), ("? *x", 1), ("a: !!str &x b", 1),
            ("# one\na: 'b' \nc:\t*x", 3), ("a\r\nb: *x", 2), ("a\u{85}*x", 1), ("-\u{2028}&x 1", 1),
            ("a: &\u{e9} 1", 1),
            ("{\"a\":&x 1}", 1), ("a: 'it ''s' &x", 1),
        ]
    )
    func alias(_ text: String, _ line: Int) {
        #expect(ModelListReader.lineOfAlias(Array(text.utf8)) == line)
    }

    @Test(
        "patterns in quotes, comments and arithmetic are none",
        arguments: [
            "include: '*.bin'", "include: [\"*.json\", '**/x']", "# see &this and *that\na: 1", "a: b & c", "a: 2 * 3",
            "to: s3://b/a&b*c", "  # *x",
        ]
    )
    func noAlias(_ text: String) {
        #expect(ModelListReader.lineOfAlias(Array(text.utf8)) == nil)
    }

    @Test func `a cache is of one hub only`() throws {
        let revision = SourceRevision(
            hub: "modelscope",
            endpoint: "e",
            kind: "models",
            name: "o/n",
            requested: "master",
            resolved: "x"
        )
        let error = #expect(throws: SluiceError.self) { try MirrorCache(LocalPath(Array("/x".utf8)), revision) }
        #expect(error?.code == .usage && error?.description.contains("modelscope") == true)
    }
}
