import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("What a location names at CivitAI")
struct CivitAIPlaceTests {
    private static let state = "0123456789abcdef"

    @Test(
        "models, versions, states and files",
        arguments: [
            ("models/1", CivitAIPlace(model: 1, version: nil)),
            ("models/1/a b.bin", CivitAIPlace(model: 1, version: nil, .path(ObjectKey("a b.bin")))),
            ("models/1@2", CivitAIPlace(model: 1, version: 2)),
            ("models/1@2/7/a?#.bin", CivitAIPlace(model: 1, version: 2, .path(ObjectKey("7/a?#.bin")))),
            ("models/1@2.\(state)", CivitAIPlace(model: 1, version: 2, state: state)),
            ("models/1@2+3", CivitAIPlace(model: 1, version: 2, .file(3, name: nil))),
            (
                "models/1@2.\(state)+3/x",
                CivitAIPlace(model: 1, version: 2, state: state, .file(3, name: ObjectKey("x")))
            ),
            ("versions/2", CivitAIPlace(model: nil, version: 2)),
            ("versions/2.\(state)+3", CivitAIPlace(model: nil, version: 2, state: state, .file(3, name: nil))),
            ("versions/2/x", CivitAIPlace(model: nil, version: 2, .path(ObjectKey("x")))),
        ]
    )
    func grammar(rest: String, place: CivitAIPlace) throws {
        #expect(try CivitAIPlace(ObjectKey(rest)) == place)
        #expect(place.location == "civitai://" + rest)
    }

    @Test("a slash at the end is the same place")
    func slash() throws {
        #expect(try CivitAIPlace(ObjectKey("models/1@2/")) == CivitAIPlace(ObjectKey("models/1@2")))
    }

    @Test(
        "anything else is refused, with an example",
        arguments: [
            "", "models", "models/", "models/x", "models/0", "models/-1", "models/01", "models/1@", "models/1@x",
            "models/1x", "models/1+3", "models/1@2+", "models/1@2+x", "models/1@2+3/a/b", "models/1@2.xyz",
            "models/1@2.0123456789ABCDEF", "models/1@2.0123456789abcdef0", "models/9223372036854775808",
            "models/1@2/../x", "models/1@2//x", "models/1@2+3/..", "versions", "versions/x", "versions/2@3",
            "images/1", "1@2",
        ]
    )
    func refused(rest: String) {
        let error = #expect(throws: SluiceError.self) { try CivitAIPlace(ObjectKey(rest)) }
        #expect(error?.code == .usage)
        #expect(error?.object?.hasPrefix("civitai://") == true)
        #expect(error?.remedy?.contains("civitai://models/") == true)
    }

    @Test(
        "addresses that people paste",
        arguments: [
            ("/models/1", nil, CivitAIPlace(model: 1, version: nil)),
            ("/models/1/a-slug", "modelVersionId=2&x=y", CivitAIPlace(model: 1, version: 2)),
            ("/models/1", "modelVersionId=x", CivitAIPlace(model: 1, version: nil)),
            ("/model-versions/2", nil, CivitAIPlace(model: nil, version: 2)),
            ("/api/v1/models/1", nil, CivitAIPlace(model: 1, version: nil)),
            ("/api/v1/model-versions/2", nil, CivitAIPlace(model: nil, version: 2)),
            ("/api/download/models/2", nil, CivitAIPlace(model: nil, version: 2, .like([:]))),
            (
                "/api/download/models/2", "type=Model&format=Core+ML&fp=fp%31%36&x=1",
                CivitAIPlace(model: nil, version: 2, .like(["type": "Model", "format": "Core ML", "fp": "fp16"]))
            ),
            ("/api/download/models/2", "fileId=3&type=x", CivitAIPlace(model: nil, version: 2, .file(3, name: nil))),
        ] as [(String, String?, CivitAIPlace)]
    )
    func pasted(path: String, query: String?, place: CivitAIPlace) throws {
        #expect(try CivitAIPlace(urlPath: path, query: query) == place)
    }

    @Test(
        "other addresses are none of CivitAI's places",
        arguments: [
            "/", "/models", "/models/x", "/models/1/a/b", "/images/1", "/api/v1/models", "/api/download/models/x",
            "/api/download/models", "/user/x/models", "/api/v1/model-versions/by-hash/7",
        ]
    )
    func others(path: String) throws {
        #expect(try CivitAIPlace(urlPath: path, query: nil) == nil)
    }

    @Test("a token in the address is refused, and not shown")
    func token() {
        let error = #expect(throws: SluiceError.self) {
            try CivitAIPlace(urlPath: "/api/download/models/2", query: "token=canary")
        }
        #expect(error?.code == .usage)
        #expect(error?.description.contains("canary") == false)
        #expect(error?.remedy?.contains("CIVITAI_TOKEN") == true)
    }
}
