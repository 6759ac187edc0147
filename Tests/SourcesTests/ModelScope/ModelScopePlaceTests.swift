import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("A place at ModelScope")
struct ModelScopePlaceTests {
    private static let hex = String(repeating: "0a", count: 32)

    private static var content: ModelScopePlace.Content? {
        Digest(.sha256, hex: hex).map { ModelScopePlace.Content(sha256: $0, size: 17) }
    }

    @Test(
        "what a location names",
        arguments: [
            ("org/name", ModelScopePlace(.model, "org/name")), ("org/name/", ModelScopePlace(.model, "org/name")),
            ("models/org/name", ModelScopePlace(.model, "org/name")),
            ("datasets/org/name", ModelScopePlace(.dataset, "org/name")),
            ("org/name@v1.0", ModelScopePlace(.model, "org/name", revision: "v1.0")),
            ("org/name@a%2Fb/x", ModelScopePlace(.model, "org/name", revision: "a/b", path: ObjectKey("x"))),
            ("org/name/a+b %20#?é.txt", ModelScopePlace(.model, "org/name", path: ObjectKey("a+b %20#?é.txt"))),
            (
                "org/name@master:\(hex):17/d/x:y@z",
                ModelScopePlace(
                    .model,
                    "org/name",
                    revision: "master",
                    path: ObjectKey("d/x:y@z"),
                    content: content
                )
            ),
        ]
    )
    func parse(text: String, place: ModelScopePlace) throws {
        #expect(try ModelScopePlace(ObjectKey(text)) == place)
        let rest = String(place.location.dropFirst("ms://".count))
        #expect(try ModelScopePlace(ObjectKey(rest)) == place)
    }

    @Test(
        "what it refuses",
        arguments: [
            "", "org", "datasets/org", "/org/name", "org//name", "org/name@", "org/name@%zz", "org/..", "a b/c",
            "org/name/../x", "org/name/a//b", "org/name/a\0b", "org/ñame", "org/name@:\(hex):1/x",
            "org/name@master:\(hex)/x", "org/name@master:\(hex):/x", "org/name@master:\(hex):-1/x",
            "org/name@master:\(hex):01/x", "org/name@master:\(hex):99999999999999999999/x",
            "org/name@master:\(hex):9223372036854775807/x", "org/name@master:\(hex):17", "org/name@master:12:3/x",
            "org/name@master:\(hex.uppercased()):17/x",
        ]
    )
    func refuse(text: String) {
        let failure = #expect(throws: SluiceError.self) { try ModelScopePlace(ObjectKey(text)) }
        #expect(failure?.code == .usage)
    }

    @Test(
        "addresses as people paste them",
        arguments: [
            ("/models/o/n", nil, "ms://o/n"), ("/models/o/n/files", nil, "ms://o/n"),
            ("/models/o/n/summary", nil, "ms://o/n"), ("/datasets/o/n", nil, "ms://datasets/o/n"),
            ("/models/o/n/file/view/master/a%2Fb.json", "status=1", "ms://o/n@master/a/b.json"),
            ("/models/o/n/tree/v1/sub", nil, "ms://o/n@v1/sub"), ("/models/o/n/tree/v1", nil, "ms://o/n@v1"),
            ("/models/o/n/resolve/master/a.bin", nil, "ms://o/n@master/a.bin"),
            ("/api/v1/models/o/n/repo", "Revision=v1&FilePath=a%2Fb+c.bin", "ms://o/n@v1/a/b c.bin"),
            ("/api/v1/datasets/o/n/repo", "FilePath=x", "ms://datasets/o/n/x"),
        ] as [(String, String?, String)]
    )
    func paste(path: String, query: String?, location: String) {
        #expect(ModelScopePlace(urlPath: path, query: query)?.location == location)
    }

    @Test(
        "addresses that are something else",
        arguments: [
            ("/", nil), ("/o/n", nil), ("/models/o", nil), ("/models/o/n/feedback", nil), ("/models/o/n/a/b", nil),
            ("/api/v1/models/o/n", nil), ("/api/v1/models/o/n/repo", nil),
            ("/api/v1/models/o/n/repo/files", "FilePath=x"),
            ("/models/o/n/resolve/master/..%2Fx", nil), ("/api/v1/models/o/n/repo", "FilePath=../x"),
            ("/docs/models/o/n", nil),
        ] as [(String, String?)]
    )
    func others(path: String, query: String?) {
        #expect(ModelScopePlace(urlPath: path, query: query) == nil)
    }

    @Test("the hub and the token of the environment, as the hub's own client reads them")
    func settings() {
        let endpoint = ModelScopeSettings.endpoint
        #expect(endpoint([:]) == "https://modelscope.cn")
        #expect(endpoint(["MODELSCOPE_ENDPOINT": "", "MODELSCOPE_DOMAIN": "d.example"]) == "https://d.example")
        #expect(endpoint(["MODELSCOPE_ENDPOINT": "http://e", "MODELSCOPE_DOMAIN": "d.example"]) == "http://e")
        #expect(endpoint(["MODELSCOPE_ENDPOINT": "HTTPS://e"]) == "HTTPS://e")
        #expect(ModelScopeSettings.token(["MODELSCOPE_API_TOKEN": " ms-1\n"])?.exposed == "ms-1")
        #expect(ModelScopeSettings.token(["MODELSCOPE_API_TOKEN": "a b"]) == nil)
        #expect(ModelScopeSettings.token([:]) == nil)
    }
}
