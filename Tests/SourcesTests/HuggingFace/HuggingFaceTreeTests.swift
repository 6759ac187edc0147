import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("The tree of a Hugging Face repository")
struct HuggingFaceTreeTests {
    private static let oid = "a6344aac8c09253b3b630fb776ae94478aa0275b"
    private static let sha = String(repeating: "0f", count: 32)

    private func entries(_ json: String) throws -> [HuggingFaceEntry] {
        try HuggingFaceTree.entries(Array(json.utf8), "hf://o/n@main")
    }

    private static func entry(_ path: String, _ size: String = "5", oid: String = oid, lfs: String? = nil) -> String {
        let more = lfs.map { ",\"lfs\":\($0)" } ?? ""
        return "{\"type\":\"file\",\"oid\":\"\(oid)\",\"size\":\(size),\"path\":\"\(path)\"\(more)}"
    }

    private func only(_ json: String) throws -> HuggingFaceEntry { try #require(try entries("[\(json)]").first) }

    @Test("files and directories, with both kinds of digest; anything else is left out")
    func page() throws {
        let pointer = LFSPointer(sha256: try #require(Digest(.sha256, hex: Self.sha)), size: 4_976_698_672)
        let large = "{\"oid\":\"\(Self.sha)\",\"size\":4976698672,\"pointerSize\":135}"
        let found = try entries(
            """
            [{"type":"directory","oid":"\(Self.oid)","size":0,"path":"onnx"},
             \(Self.entry(".gitattributes", "1519")),
             \(Self.entry("m.safetensors", "4976698672", oid: pointer.object.hex, lfs: large)),
             {"type":"submodule","oid":"x","path":"s"}]
            """
        )
        #expect(found.map { "\($0.path)" } == ["onnx", ".gitattributes", "m.safetensors"])
        guard case .directory = found[0], case .file(let small) = found[1], case .file(let big) = found[2] else {
            Issue.record("\(found)")
            return
        }
        #expect(small.published == Digest(.gitSHA1, hex: Self.oid))
        #expect(small.size == 1519 && small.tag == Self.oid)
        #expect(big.published == Digest(.sha256, hex: Self.sha))
        #expect(big.size == 4_976_698_672 && big.tag == Self.sha)
    }

    @Test("a pointer is made anew, and has the tree's name")
    func pointer() throws {
        let empty = try #require(
            Digest(.sha256, hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        )
        let pointer = LFSPointer(sha256: empty, size: 0)
        #expect(pointer.text.utf8.count == 126)
        #expect(
            pointer.text
                == "version https://git-lfs.github.com/spec/v1\noid sha256:\(empty.hex)\nsize 0\n"
        )
        // git hash-object of that text.
        #expect(pointer.object.hex == "fc8e42b32efb9a9bf3ae0234a18a948e499490f8")
    }

    @Test("a pointer that contradicts its SHA-256 refuses that file alone")
    func contradiction() throws {
        let large = "{\"oid\":\"\(Self.sha)\",\"size\":5,\"pointerSize\":126}"
        guard case .refused(_, let error) = try only(Self.entry("m", lfs: large)) else {
            Issue.record("it was taken")
            return
        }
        #expect(error.code == .digestMismatch)
        #expect(error.message.contains(Self.oid) && error.message.contains(Self.sha))
        // A pointer with other fields has another length, and another name.
        let other = "{\"oid\":\"\(Self.sha)\",\"size\":5,\"pointerSize\":200}"
        guard case .file = try only(Self.entry("m", lfs: other)) else {
            Issue.record("it was refused")
            return
        }
    }

    @Test(
        "a name that no tree of git holds is refused, and the rest is taken",
        arguments: ["../etc/passwd", "a/../b", "/etc/passwd", "a//b", "a/", ".", "./a", "nul\\u0000", ""]
    )
    func hostileNames(path: String) throws {
        let found = try entries("[\(Self.entry(path)),\(Self.entry("good"))]")
        guard found.count == 2, case .refused(_, let error) = found[0], case .file = found[1] else {
            Issue.record("\(found)")
            return
        }
        #expect(error.code == .unsafeName)
        #expect(error.object?.contains("\0") == false)
    }

    @Test(
        "names of all kinds are names",
        arguments: [".gitattributes", "a b", "a+b%20", "..a", "é", "C:\\\\x", "-", "a\\nb"]
    )
    func names(path: String) throws {
        guard case .file = try only(Self.entry(path)) else {
            Issue.record("it was refused")
            return
        }
    }

    @Test(
        "hostile pages are answers that cannot be",
        arguments: [
            "", "null", "{}", "[", "[1]", "[null]", "<html>", "[{\"type\":\"file\"}]", Self.list(Self.entry("a", "-1")),
            Self.list(Self.entry("a", "1.5")), Self.list(Self.entry("a", "1e400")),
            Self.list(Self.entry("a", "99999999999999999999")), Self.list(Self.entry("a", "\"5\"")),
            Self.list(Self.entry("a", "null")), Self.list(Self.entry("a", oid: "xyz")),
            Self.list(Self.entry("a", lfs: "{\"oid\":\"12\",\"size\":5}")),
            Self.list(Self.entry("a", lfs: "{\"oid\":\"\(sha)\",\"size\":-5}")),
            Self.list(Self.entry("a", lfs: "{\"size\":5}")), Self.list(Self.entry("\\ud800")),
            String(repeating: "[", count: 100_000),
        ]
    )
    func hostilePages(json: String) {
        let failure = #expect(throws: SluiceError.self) { try entries(json) }
        #expect(failure?.code == .badAnswer)
        #expect(failure?.object == "hf://o/n@main")
    }

    private static func list(_ entry: String) -> String { "[\(entry)]" }

    @Test("the largest size there is")
    func largest() throws {
        guard case .file(let file) = try only(Self.entry("a", "9223372036854775807")) else {
            Issue.record("it was refused")
            return
        }
        #expect(file.size == UInt64(Int64.max))
    }

    @Test("a commit is forty digits, or the answer is none")
    func commit() throws {
        let commit = String(repeating: "0a", count: 20)
        #expect(try HuggingFaceTree.commit(Array("{\"id\":\"o/n\",\"sha\":\"\(commit)\"}".utf8), "x") == commit)
        for json in ["{}", "{\"sha\":null}", "{\"sha\":\"main\"}", "{\"sha\":7}", "[]", ""] {
            #expect(throws: SluiceError.self) { try HuggingFaceTree.commit(Array(json.utf8), "x") }
        }
    }
}
