import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("The JSON of ModelScope")
struct ModelScopeTreeTests {
    private static let hex = String(repeating: "0a", count: 32)

    private func page(_ json: String) throws -> ModelScopePage {
        try ModelScopeTree.page(Array(json.utf8), "ms://o/n") { code, message in
            SluiceError(.notAuthorised, "\(code) \(message)")
        }
    }

    private func listing(_ entries: String) -> String {
        "{\"Code\":200,\"Success\":true,\"Data\":{\"Files\":[\(entries)]}}"
    }

    @Test("files, directories, and what is neither")
    func entries() throws {
        let page = try page(
            listing(
                "{\"Path\":\"a/b\",\"Type\":\"blob\",\"Size\":7,\"Sha256\":\"\(Self.hex.uppercased())\",\"IsLFS\":true},"
                    + "{\"Path\":\"a\",\"Type\":\"tree\",\"Size\":0,\"Revision\":\"c\"},{\"Path\":\"m\",\"Type\":\"commit\"},"
                    + "{\"Path\":\"n\",\"Type\":\"blob\",\"Size\":7,\"Sha256\":\"\"},"
                    + "{\"Path\":\"../x\",\"Type\":\"blob\",\"Size\":7,\"Sha256\":\"\(Self.hex)\"}"
            )
        )
        #expect(page.count == 5)
        #expect(page.entries.map(\.path.text) == ["a/b", "a", "n", "../x"])
        #expect(page.entries[0].state == "\(Self.hex) 7")
        #expect(page.entries[1].state == "directory c")
        guard case .refused(_, let digest) = page.entries[2], case .refused(_, let name) = page.entries[3] else {
            Issue.record("neither can be had")
            return
        }
        #expect((digest.code, name.code) == (.unsupported, .unsafeName))
    }

    @Test(
        "what is no listing",
        arguments: [
            "", "[]", "{}", "null", "{\"Code\":200,\"Success\":true}", "{\"Data\":{}}", "{\"Data\":{\"Files\":[{}]}}",
            "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Type\":\"blob\",\"Size\":-1}]}}",
            "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Type\":\"blob\",\"Size\":9223372036854775807}]}}",
            "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Type\":\"blob\",\"Size\":1e300}]}}",
            "{\"Data\":{\"Files\":[{\"Path\":\"a\",\"Type\":\"blob\"}]}}", "{\"Code\":1e300,\"Data\":{\"Files\":[]}}",
        ]
    )
    func none(json: String) {
        let failure = #expect(throws: SluiceError.self) { try page(json) }
        #expect(failure?.code == .badAnswer)
    }

    @Test(
        "a refusal is one whatever its status",
        arguments: ["\"Success\":false", "\"Code\":10020103002,\"Success\":true"]
    )
    func refusal(fields: String) {
        let failure = #expect(throws: SluiceError.self) {
            try page("{\(fields),\"Message\":\"no\",\"Data\":{\"Files\":[]}}")
        }
        #expect(failure?.code == .notAuthorised)
    }

    @Test(
        "what refusals mean",
        arguments: [
            (200, 10_010_205_001, SluiceError.Code.notFound), (404, 0, .notFound),
            (200, 10_020_103_002, .notAuthorised),
            (403, 1, .notAuthorised), (401, 10_990_101_003, .notAuthorised), (200, 10_990_101_003, .notAuthorised),
            (200, 5, .badAnswer), (400, 10_010_101_001, .badAnswer), (200, .min, .badAnswer),
        ] as [(Int, Int64, SluiceError.Code)]
    )
    func meanings(status: Int, code: Int64, meaning: SluiceError.Code) {
        let answer = ModelScopeAnswer(
            status: status,
            code: code,
            message: "said",
            place: ModelScopePlace(.model, "o/n"),
            page: "https://hub/models/o/n",
            hasToken: false
        )
        #expect(answer.error.code == meaning)
        #expect(answer.error.cause?.contains("said") == true)
    }

    @Test("the digest of a listing is that of its files, whatever the order and the directories")
    func digest() throws {
        func found(_ entries: [ModelScopeEntry]) -> String {
            var found = ModelScopeWalk.Found()
            for entry in entries { found.entries[entry.path] = entry }
            return found.digest.hex
        }
        let a = ModelScopeEntry.file(ModelScopeFile(path: ObjectKey("a"), size: 1, sha256: SHA256.hash("a")))
        let b = ModelScopeEntry.file(ModelScopeFile(path: ObjectKey("d/b"), size: 2, sha256: SHA256.hash("b")))
        let longer = ModelScopeEntry.file(ModelScopeFile(path: ObjectKey("d/b"), size: 3, sha256: SHA256.hash("b")))
        #expect(found([a, b]) == found([b, .directory(ObjectKey("d"), touched: "x"), a]))
        #expect(found([a, b]) != found([a, longer]))
        #expect(found([a]) != found([a, .refused(ObjectKey("z"), SluiceError(.unsafeName, "no"))]))
        let line = Array("a".utf8) + [0] + Array("1 \(SHA256.hash("a").hex)\n".utf8)
        #expect(found([a]) == line.withUnsafeBytes { SHA256.hash($0) }.hex)
    }
}
