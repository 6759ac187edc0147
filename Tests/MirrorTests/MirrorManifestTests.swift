import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceMirror

@Suite struct MirrorManifestTests {
    private func manifest(_ change: (inout MirrorManifest) -> Void = { _ in }) throws -> MirrorManifest {
        let object = try #require(Digest(.gitSHA1, hex: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"))
        var manifest = MirrorManifest(
            source: SourceRevision(
                hub: "hugging-face",
                endpoint: "https://huggingface.co",
                kind: "models",
                name: "org/name",
                identity: "65f0aa",
                requested: "main",
                resolved: String(repeating: "a", count: 40),
                about: ["licence": "mit", "gated": "auto"]
            ),
            asked: "hf://org/name",
            listing: SHA256.hash("listing"),
            files: [
                .init(path: ObjectKey("b/é"), size: 3, sha256: SHA256.hash("b"), evidence: [.sha256, .gitPointer]),
                .init(
                    path: ObjectKey(bytes: [0x61, 0xFF]),
                    key: ObjectKey(".sluice/names/x"),
                    size: 0,
                    sha256: SHA256.hash(""),
                    object: object,
                    evidence: [.gitObject],
                    stored: "\"tag\" version"
                ),
            ],
            leftOut: [.init(path: ObjectKey("x.bin"), reason: "not selected (--exclude *.bin)")],
            provenDirectories: 1,
            publishedDirectories: 2,
            selection: "--exclude *.bin",
            tool: "sluice 1",
            written: 1_779_580_800
        )
        change(&manifest)
        return manifest
    }

    @Test func `what is written is read again, and equal manifests are equal bytes`() throws {
        let manifest = try manifest()
        let bytes = try manifest.encoded()
        #expect(try MirrorManifest(bytes, "here") == manifest)
        #expect(try MirrorManifest(bytes, "here").encoded() == bytes)
        #expect(!manifest.isComplete && manifest.files.map(\.path) == manifest.files.map(\.path).sorted())
        #expect(String(decoding: bytes, as: UTF8.self).contains("2026-05-24T00:00:00Z"))
    }

    @Test func `its identity is that of what it holds, not of when, where and by whom it was made`() throws {
        let identity = try manifest().identity
        let same = try manifest { manifest in
            manifest.tool = "other"
            manifest.written += 1
            manifest.source.endpoint = "https://mirror.example"
            manifest.source.requested = "v1"
            manifest.source.about = [:]
            manifest.files[0].stored = "elsewhere"
            manifest.files[1].key = ObjectKey("k")
            manifest.asked = "x"
        }
        #expect(same.identity == identity)
        let changes: [(inout MirrorManifest) -> Void] = [
            { $0.source.resolved = "b" }, { $0.source.name = "org/other" }, { $0.files[0].size += 1 },
            { $0.files[0].sha256 = SHA256.hash("other") }, { $0.files[0].path = ObjectKey("c") },
            { $0.files.removeLast() }, { $0.leftOut = [] },
        ]
        for change in changes { #expect(try manifest(change).identity != identity) }
    }

    @Test func `a change of a file's digest or path in its text is noticed`() throws {
        let text = String(decoding: try manifest().encoded(), as: UTF8.self)
        let changes = [
            (SHA256.hash("b").hex, SHA256.hash("c").hex), ("\"size\":3", "\"size\":4"), ("b/é", "b/e"),
            ("org/name\",\"requested", "org/mane\",\"requested"), ("\"x.bin\"", "\"y.bin\""),
            ("sluice-mirror\"", "sluice-moror\""), ("\"version\":1", "\"version\":2"),
            ("2026-05-24T00", "2026-05-24T99"), ("b/é", "../b"), ("b/é", "/b"), ("{", "["),
        ]
        for (old, new) in changes {
            #expect(text.contains(old), "\(old) is not there to be changed")
            let changed = Array(text.replacing(old, with: new, maxReplacements: 1).utf8)
            #expect(throws: SluiceError.self, "\(old) -> \(new)") { try MirrorManifest(changed, "here") }
        }
    }

    @Test func `cut or foreign bytes are refused and crash nothing`() throws {
        let bytes = try manifest().encoded()
        for length in 0..<bytes.count - 1 {
            #expect(throws: SluiceError.self) { try MirrorManifest(Array(bytes.prefix(length)), "here") }
        }
        let huge = String(decoding: bytes, as: UTF8.self).replacing("\"size\":3", with: "\"size\":99999999999999999999")
        #expect(throws: SluiceError.self) { try MirrorManifest(Array(huge.utf8), "here") }
    }

    @Test func `a ref knows which manifests may have left files behind`() throws {
        func entry(_ text: String) -> MirrorRef.Entry {
            MirrorRef.Entry(manifest: SHA256.hash(text), revision: text, since: 1)
        }
        var ref = MirrorRef(name: "main", entry("1"))
        #expect(ref.leftovers.isEmpty && ref.cleared == nil)
        ref = ref.moved(to: entry("2")).moved(to: entry("1")).moved(to: entry("3"))
        #expect(ref.leftovers == [SHA256.hash("1"), SHA256.hash("2")])
        ref = try MirrorRef(ref.clearedUp().encoded(), "x")
        #expect(ref.leftovers.isEmpty && ref.cleared == SHA256.hash("3"))
        ref = ref.moved(to: entry("4")).moved(to: entry("5"))
        #expect(ref.leftovers == [SHA256.hash("4"), SHA256.hash("3")])
    }

    @Test func `what a header said is kept, and changes no identity`() throws {
        let plain = try manifest()
        var told = plain
        told.files[0].structure = MirrorManifest.Structure(verdict: "bad", reason: "size: expected 2, found 1")
        let again = try MirrorManifest(told.encoded(), "x")
        #expect(again == told && again.identity == plain.identity)
        #expect(!String(decoding: try plain.encoded(), as: UTF8.self).contains("structure"))
    }

    @Test func `a ref remembers what it stood for, the newest first`() throws {
        let first = MirrorRef.Entry(manifest: SHA256.hash("1"), revision: "a", since: 1_000_000_000)
        let second = MirrorRef.Entry(manifest: SHA256.hash("2"), revision: "b", since: 1_000_000_100)
        let ref = MirrorRef(name: "main", first)
        #expect(ref.moved(to: MirrorRef.Entry(manifest: first.manifest, revision: "a", since: 5)) == ref)
        let moved = ref.moved(to: second)
        #expect(moved.entries == [second, first] && moved.current == second)
        #expect(try MirrorRef(moved.encoded(), "here") == moved)
        #expect(throws: SluiceError.self) { try MirrorRef(Array("{}".utf8), "here") }
        #expect(throws: SluiceError.self) {
            try MirrorRef(Array(#"{"format":"sluice-mirror-ref","version":1,"ref":"m","history":[]}"#.utf8), "here")
        }
    }
}
