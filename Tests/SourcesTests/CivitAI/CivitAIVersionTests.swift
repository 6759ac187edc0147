import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("Versions as CivitAI's API describes them")
struct CivitAIVersionTests {
    private static let digest = String(repeating: "A5", count: 32)

    private static func file(_ id: String, _ name: String, _ more: String = "") -> String {
        "{\"id\":\(id),\"name\":\"\(name)\",\"hashes\":{\"SHA256\":\"\(digest)\"}\(more)}"
    }

    private static func version(_ files: String..., more: String = "") -> String {
        "{\"id\":2,\"modelId\":1,\"files\":[\(files.joined(separator: ","))]\(more)}"
    }

    private func parsed(_ json: String) throws -> CivitAIVersion { try CivitAIVersion(Array(json.utf8)) }

    @Test("the shape of the API's own documentation")
    func documented() throws {
        let version = try parsed(
            """
            {"id":2514310,"modelId":827184,"name":"v16.0","baseModel":"Illustrious",
             "air":"urn:air:sdxl:checkpoint:civitai:827184@2514310","status":"Published","availability":"Public",
             "usageControl":"Download","earlyAccessEndsAt":null,"trainedWords":[],"stats":{"downloadCount":7},
             "model":{"name":"WAI","type":"Checkpoint","nsfw":false,"poi":false,"mode":null},
             "files":[{"id":2402203,"name":"wai.safetensors","type":"Model","sizeKB":6775430.35,
               "metadata":{"format":"SafeTensor","size":"pruned","fp":"fp16"},"virusScanResult":"Success",
               "hashes":{"AutoV1":"4748A7F6","AutoV2":"A5A5A5A5A5","SHA256":"\(Self.digest)","CRC32":"DAEE95B7",
                         "BLAKE3":"\(Self.digest)","AutoV3":"22D8CB95B807"},
               "downloadUrl":"https://civitai.com/api/download/models/2514310","primary":true}]}
            """
        )
        #expect(version.id == 2_514_310 && version.model == 827_184)
        #expect(version.told["status"] == "Published" && version.told["modelName"] == "WAI")
        #expect(version.told["mode"] == nil && version.told["earlyAccessEndsAt"] == nil)
        let file = try #require(version.files.first)
        #expect(file.id == 2_402_203 && file.isPrimary && file.name == "wai.safetensors")
        #expect(file.published == [Digest(.sha256, hex: Self.digest.lowercased())])
        #expect(file.words == ["type": "Model", "format": "SafeTensor", "size": "pruned", "fp": "fp16"])
        #expect(file.sizeHint.map { abs($0 - 6_938_040_678) < 16 } == true)
        #expect(version.refusal(CivitAIPlace(model: 827_184, version: 2_514_310), page: "p") == nil)
    }

    @Test("BLAKE3 stands in for a missing SHA-256, short hashes for none")
    func digests() throws {
        let blake3 = "{\"id\":3,\"name\":\"a\",\"hashes\":{\"SHA256\":null,\"BLAKE3\":\"\(Self.digest)\"}}"
        let short = "{\"id\":4,\"name\":\"b\",\"hashes\":{\"AutoV2\":\"A5A5A5A5A5\",\"CRC32\":\"DAEE95B7\"}}"
        let none = "{\"id\":5,\"name\":\"c\",\"hashes\":null,\"sizeKB\":null,\"metadata\":null,\"primary\":null}"
        let files = try parsed(Self.version(blake3, short, none, "{\"id\":6,\"name\":\"d\"}")).files
        #expect(files.map(\.published.first?.algorithm) == [.blake3, nil, nil, nil])
    }

    @Test(
        "what contradicts itself or cannot be is an error, never half a version",
        arguments: [
            ("", "an object"), ("[]", "an object"), ("null", "an object"), ("{}", "expected id"), ("{\"id\":1", "','"),
            ("{\"id\":1,\"modelId\":1}", "files"), ("{\"id\":0,\"modelId\":1,\"files\":[]}", "expected id"),
            ("{\"id\":1,\"files\":[]}", "modelId"), ("{\"id\":1,\"id\":1}", "expected one, found two"),
            ("{\"id\":1.5}", "whole number"), ("{\"id\":1e3}", "whole number"), ("{\"id\":-1}", "whole number"),
            ("{\"id\":18446744073709551616}", "whole number"), ("{\"id\":\"1\"}", "whole number"),
            ("{\"files\":{}}", "an array"), ("{\"files\":null}", "an array"), ("{\"name\":7}", "a string"),
            ("{\"model\":[]}", "an object"), ("{\"x\":" + String(repeating: "[", count: 200), "levels"),
            (version(file("3", "a"), file("3", "b")), "file 3: expected one, found two"),
            (version(file("0", "a")), "expected id"), (version("{\"id\":3}"), "expected name"),
            (version("{\"id\":3,\"name\":null}"), "expected name"), (version("7"), "an object"),
            (version(file("3", "a", ",\"sizeKB\":-0.5")), "sizeKB"),
            (version(file("3", "a", ",\"sizeKB\":1e300")), "sizeKB"),
            (version(file("3", "a", ",\"sizeKB\":1e999")), "1.8e308"),
            (version(file("3", "a", ",\"sizeKB\":\"1\"")), "a number"),
            (version(file("3", "a", ",\"primary\":1")), "true or false"),
            (version("{\"id\":3,\"name\":\"a\",\"hashes\":{\"SHA256\":\"A5\"}}"), "64 hexadecimal digits"),
            (version("{\"id\":3,\"name\":\"a\",\"hashes\":{\"SHA256\":7}}"), "a string"),
            (version("{\"id\":3,\"name\":\"a\",\"hashes\":{\"BLAKE3\":\"xyz\"}}"), "64 hexadecimal digits"),
            (version() + "x", "nothing after"),
        ]
    )
    func hostile(json: String, reason: String) {
        let stop = #expect(throws: StructureStop.self) { try parsed(json) }
        #expect(stop?.finding.reason?.contains(reason) == true, "\(String(describing: stop))")
    }

    @Test("names that are safe and alone stay as they are; others go below their file's id")
    func tree() throws {
        let version = try parsed(
            Self.version(
                Self.file("11", "twin.bin"),
                Self.file("12", "twin.bin"),
                Self.file("13", "a/b"),
                Self.file("14", ".."),
                Self.file("15", ""),
                Self.file("16", "\\u0000"),
                Self.file("17", "12"),
                Self.file("18", "%41.bin"),
                Self.file("19", "M\u{FC}"),
                Self.file("20", "Mu\u{308}"),
                Self.file("21", "twin.BIN")
            )
        )
        #expect(
            Set(version.tree.map(\.path.text).map { Array($0.utf8) })
                == Set(
                    [
                        "11/twin.bin", "12/twin.bin", "13/a%2Fb", "14/%2E%2E", "15/unnamed", "16/%00", "17/12",
                        "%41.bin",
                        "M\u{FC}", "Mu\u{308}", "twin.BIN",
                    ].map { Array($0.utf8) }
                )
        )
        #expect(version.tree.allSatisfy { $0.path.relativeRefusal == nil })
    }

    @Test("the state is that of ids, names and digests, in any order, and of nothing else")
    func state() throws {
        let (a, b) = (Self.file("3", "a"), Self.file("4", "b"))
        let state = try parsed(Self.version(a, b)).state
        #expect(state.utf8.count == 16)
        #expect(try parsed(Self.version(b, a, more: ",\"updatedAt\":\"x\"")).state == state)
        #expect(try parsed(Self.version(a, Self.file("4", "b", ",\"sizeKB\":7"))).state == state)
        for other in [Self.version(a), Self.version(a, Self.file("5", "b")), Self.version(a, Self.file("4", "c"))] {
            #expect(try parsed(other).state != state)
        }
        #expect(try parsed(Self.version(a, "{\"id\":4,\"name\":\"b\"}")).state != state)
    }

    @Test(
        "what stands against a version's files is named",
        arguments: [
            (",\"status\":\"Draft\"", SluiceError.Code.notFound, "Draft"),
            (",\"model\":{\"mode\":\"Archived\"}", .notFound, "archived"),
            (",\"model\":{\"mode\":\"TakenDown\"}", .notFound, "taken the model down"),
            (",\"usageControl\":\"Generation\"", .unsupported, "Generation"),
        ]
    )
    func refusals(more: String, code: SluiceError.Code, reason: String) throws {
        let refusal = try parsed(Self.version(Self.file("3", "a"), more: more))
            .refusal(CivitAIPlace(model: 1, version: 2), page: "https://page")
        #expect(refusal?.code == code)
        #expect(refusal?.message.contains(reason) == true)
        #expect(refusal?.remedy?.contains("https://page") == true)
    }

    @Test("another model's version, another state and no files are none of what was asked for")
    func others() throws {
        let version = try parsed(Self.version(Self.file("3", "a")))
        let state = String(repeating: "0", count: 16)
        #expect(version.refusal(CivitAIPlace(model: 7, version: 2), page: "p")?.code == .notFound)
        let edited = version.refusal(CivitAIPlace(model: 1, version: 2, state: state), page: "p")
        #expect(edited?.code == .sourceChanged)
        #expect(edited?.message.contains(state) == true && edited?.message.contains(version.state) == true)
        #expect(try parsed(Self.version()).refusal(CivitAIPlace(model: 1, version: 2), page: "p")?.code == .notFound)
    }

    @Test("the versions of a model that are published, in the hub's order")
    func model() throws {
        let json = """
            {"id":1,"mode":null,"modelVersions":[{"id":5,"status":"Draft"},{"id":4,"status":"Published","files":[{}]},
             {"id":9},{"id":3,"status":null}]}
            """
        #expect(try CivitAIModel(Array(json.utf8)).versions == [4, 9, 3])
        for bad in ["{\"id\":1}", "{\"modelVersions\":[]}", "{\"id\":1,\"modelVersions\":[{}]}", "[]", "{"] {
            #expect(throws: StructureStop.self) { try CivitAIModel(Array(bad.utf8)) }
        }
    }

    @Test("a file is chosen by its id, its place or the words of an address")
    func chosen() throws {
        let version = try parsed(
            Self.version(
                Self.file("3", "a", ",\"type\":\"Model\",\"primary\":true,\"metadata\":{\"fp\":\"fp16\"}"),
                Self.file("4", "b", ",\"type\":\"Model\",\"metadata\":{\"fp\":\"fp32\"}"),
                Self.file("5", "c", ",\"type\":\"VAE\",\"metadata\":{\"fp\":\"fp32\"}")
            )
        )
        func ids(_ choice: CivitAIPlace.Choice) throws -> [UInt64] {
            try version.files(CivitAIPlace(model: 1, version: 2, choice), page: "p").map(\.file.id)
        }
        #expect(try ids(.path(ObjectKey(""))) == [3, 4, 5])
        #expect(try ids(.path(ObjectKey("b"))) == [4])
        #expect(try ids(.file(5, name: nil)) == [5])
        #expect(try ids(.like([:])) == [3])
        #expect(try ids(.like(["type": "Model"])) == [3])
        #expect(try ids(.like(["type": "Model", "fp": "fp32"])) == [4])
        for none in [CivitAIPlace.Choice.path(ObjectKey("x")), .file(6, name: nil), .like(["type": "x"])] {
            #expect(#expect(throws: SluiceError.self) { try ids(none) }?.code == .notFound)
        }
        let ambiguous = #expect(throws: SluiceError.self) { try ids(.like(["fp": "fp32"])) }
        #expect(ambiguous?.code == .usage)
        #expect(ambiguous?.message.contains("4, 5") == true)
    }
}
