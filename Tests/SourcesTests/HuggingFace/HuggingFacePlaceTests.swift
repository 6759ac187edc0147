import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("A place at a Hugging Face hub")
struct HuggingFacePlaceTests {
    private static let commit = String(repeating: "0a", count: 20)

    private static func key(_ text: String) -> ObjectKey { ObjectKey(text) }

    @Test(
        "what a location names",
        arguments: [
            ("org/name", HuggingFacePlace(.model, "org/name")),
            ("org/name/", HuggingFacePlace(.model, "org/name")),
            ("models/org/name", HuggingFacePlace(.model, "org/name")),
            ("datasets/org/name", HuggingFacePlace(.dataset, "org/name")),
            ("spaces/org/na-me_1.5/app.py", HuggingFacePlace(.space, "org/na-me_1.5", path: ObjectKey("app.py"))),
            ("org/name@v1.0", HuggingFacePlace(.model, "org/name", revision: "v1.0")),
            ("org/name@a%2Fb/x", HuggingFacePlace(.model, "org/name", revision: "a/b", path: ObjectKey("x"))),
            ("org/name@refs/pr/1", HuggingFacePlace(.model, "org/name", revision: "refs/pr/1")),
            (
                "org/name@refs%2Fpr%2F1/x",
                HuggingFacePlace(.model, "org/name", revision: "refs/pr/1", path: Self.key("x"))
            ),
            (
                "datasets/o/n@refs/convert/parquet/a/b.parquet",
                HuggingFacePlace(.dataset, "o/n", revision: "refs/convert/parquet", path: ObjectKey("a/b.parquet"))
            ),
            ("org/name/a+b %20#?é.txt", HuggingFacePlace(.model, "org/name", path: ObjectKey("a+b %20#?é.txt"))),
            ("org/name/.git@x/...", HuggingFacePlace(.model, "org/name", path: ObjectKey(".git@x/..."))),
            ("org/name/dir/", HuggingFacePlace(.model, "org/name", path: ObjectKey("dir"))),
            ("org/name/e\u{301}/\u{301}x", HuggingFacePlace(.model, "org/name", path: ObjectKey("e\u{301}/\u{301}x"))),
        ]
    )
    func parse(text: String, place: HuggingFacePlace) throws {
        let parsed = try HuggingFacePlace(ObjectKey(text))
        #expect(parsed == place)
        let rest = try #require(place.location.hasPrefix("hf://") ? String(place.location.dropFirst(5)) : nil)
        #expect(try HuggingFacePlace(ObjectKey(rest)) == place)
    }

    @Test(
        "what it refuses",
        arguments: [
            "", "org", "datasets/org", "/org/name", "org//name", "org/name@", "org/name@%zz", "org/..", "./name",
            "a b/c",
            "org/name/../x", "org/name/a//b", "org/name/./a", "org/name/a\0b", "org%2Fname/x", "org/ñame",
            "org/name@%FF",
        ]
    )
    func refuse(text: String) {
        let failure = #expect(throws: SluiceError.self) { try HuggingFacePlace(ObjectKey(text)) }
        #expect(failure?.code == .usage)
        #expect(failure?.remedy != nil)
    }

    @Test("bytes that are no text name nothing at a hub")
    func bytes() {
        #expect(throws: SluiceError.self) { try HuggingFacePlace(ObjectKey(bytes: Array("org/name/".utf8) + [0xFF])) }
    }

    @Test(
        "addresses that people paste",
        arguments: [
            ("/org/name", HuggingFacePlace(.model, "org/name")),
            ("/org/name/tree/main", HuggingFacePlace(.model, "org/name", revision: "main")),
            (
                "/org/name/tree/main/sub/d/",
                HuggingFacePlace(.model, "org/name", revision: "main", path: Self.key("sub/d"))
            ),
            (
                "/datasets/org/name/blob/v1/a%20b%2Bc.txt",
                HuggingFacePlace(.dataset, "org/name", revision: "v1", path: ObjectKey("a b+c.txt"))
            ),
            (
                "/spaces/org/name/resolve/refs%2Fpr%2F1/x",
                HuggingFacePlace(.space, "org/name", revision: "refs/pr/1", path: ObjectKey("x"))
            ),
            (
                "/org/name/raw/refs/pr/1/x",
                HuggingFacePlace(.model, "org/name", revision: "refs/pr/1", path: Self.key("x"))
            ),
        ]
    )
    func page(path: String, place: HuggingFacePlace) { #expect(HuggingFacePlace(urlPath: path) == place) }

    @Test(
        "other addresses of a hub",
        arguments: [
            "/", "/org", "/docs/hub", "/api/models/org", "/org/name/discussions/1", "/org/name/commits/main", "/models",
            "/collections/org/x", "/datasets/org", "/org/name/tree", "/org/name/blob/main/%2e%2e/x", "/org/n%20e",
        ]
    )
    func noPage(path: String) { #expect(HuggingFacePlace(urlPath: path) == nil) }

    @Test("only forty lower-case hexadecimal digits are a commit")
    func commits() {
        #expect(HuggingFacePlace.isCommit(Self.commit))
        #expect(!HuggingFacePlace.isCommit(Self.commit.uppercased()))
        #expect(!HuggingFacePlace.isCommit(String(Self.commit.dropLast())))
        #expect(HuggingFacePlace(.model, "o/n", revision: Self.commit).isPinned)
        #expect(!HuggingFacePlace(.model, "o/n", revision: "main").isPinned)
        #expect(!HuggingFacePlace(.model, "o/n").isPinned)
    }
}
