import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceMirror

@Suite struct MirrorPlanTests {
    private let sha = SHA256.hash("x")

    private func large(_ path: String, _ text: String, size: UInt64 = 1 << 30) -> SourceTree.File {
        SourceTree.File(
            path: ObjectKey(path),
            size: size,
            published: [SHA256.hash(text)],
            location: "hf://o/n@c/\(path)"
        )
    }

    private func small(_ path: String, _ text: String) throws -> SourceTree.File {
        let object = try #require(Digest(.gitSHA1, bytes: Array(SHA256.hash(text).bytes.prefix(20))))
        return SourceTree.File(path: ObjectKey(path), size: 5, published: [object], object: object, location: "")
    }

    private func kept(_ file: SourceTree.File) -> MirrorManifest.File {
        MirrorManifest.File(
            path: file.path,
            size: file.size,
            sha256: file.published.first { $0.algorithm == .sha256 } ?? sha,
            object: file.object,
            evidence: [.sha256]
        )
    }

    private func manifest(_ files: [SourceTree.File], layout: MirrorLayout = .plain) -> MirrorManifest {
        MirrorManifest(
            source: SourceRevision(
                hub: "h",
                endpoint: "e",
                kind: "models",
                name: "o/n",
                requested: "main",
                resolved: "c"
            ),
            asked: "hf://o/n",
            listing: sha,
            files: files.map(kept),
            layout: layout,
            tool: "t",
            written: 0
        )
    }

    private func plan(
        _ files: [SourceTree.File],
        _ previous: MirrorManifest?,
        refused: [ObjectKey: SluiceError] = [:],
        leavingOut: (ObjectKey) -> String? = { _ in nil }
    ) throws -> MirrorPlan {
        try MirrorPlan(
            SourceTree(files: files, refused: refused, pages: []),
            previous: previous,
            leavingOut: leavingOut
        ) { file throws(SluiceError) in file.path }
    }

    private func actions(_ plan: MirrorPlan) -> [String: MirrorPlan.Action] {
        Dictionary(uniqueKeysWithValues: plan.items.map { ("\($0.file.path)", $0.action) })
    }

    @Test func `what has the published digest is there, whichever that is; all else comes`() throws {
        let before = [large("same", "1"), large("other", "2"), try small("git", "3"), try small("new-git", "4")]
        let now = [
            large("same", "1"), large("other", "changed"), try small("git", "3"), try small("new-git", "5"),
            large("new", "6"), large("longer", "1", size: 7),
        ]
        let plan = try plan(now, manifest(before + [large("longer", "1", size: 8), large("gone", "7")]))
        #expect(
            actions(plan) == [
                "same": .unchanged, "other": .changed, "git": .unchanged, "new-git": .changed, "new": .new,
                "longer": .changed,
            ]
        )
        #expect(plan.gone.map(\.path) == [ObjectKey("gone")])
        #expect(plan.count(.new) == (1, 1 << 30) && plan.count(.gone) == (1, 1 << 30))
        #expect(plan.moving.count == 4)
    }

    @Test func `a mirror that was laid out otherwise has nothing of it`() throws {
        let file = large("a", "1")
        #expect(try actions(plan([file], manifest([file], layout: .huggingFaceCache))) == ["a": .new])
    }

    @Test func `small files come first, and shards in their order`() throws {
        let files = [
            large("model-00002.safetensors", "1"), large("model-00001.safetensors", "2"), try small("z.json", "3"),
            try small("config.json", "4"),
        ]
        let order = try plan(files, nil).items.map { "\($0.file.path)" }
        #expect(order == ["config.json", "z.json", "model-00001.safetensors", "model-00002.safetensors"])
    }

    @Test func `what is not selected or was refused is left out, with its reason`() throws {
        let refusal = SluiceError(.unsafeName, "the name holds . or .. as a component")
        let plan = try plan([large("a", "1"), large("b.bin", "2")], nil, refused: [ObjectKey("../x"): refusal]) {
            path in
            path == ObjectKey("b.bin") ? "not selected" : nil
        }
        #expect(plan.items.count == 1)
        #expect(plan.leftOut.map(\.reason) == [refusal.message, "not selected"])
    }

    @Test func `what is not selected any more is not gone`() throws {
        let files = [large("a", "1"), large("b.bin", "2")]
        let plan = try plan(files, manifest(files)) { $0 == ObjectKey("b.bin") ? "not selected" : nil }
        #expect(plan.gone.isEmpty && plan.leftOut.map(\.path) == [ObjectKey("b.bin")])
    }

    @Test func `nothing is deleted after a listing that was not whole, nor more than is allowed`() throws {
        let files = (0..<100).map { large("f\($0)", "\($0)") }
        let whole = try plan(Array(files.dropFirst(10)), manifest(files))
        #expect(try whole.deletions().count == 10)
        let many = try plan(Array(files.dropFirst(11)), manifest(files))
        let error = #expect(throws: SluiceError.self) { try many.deletions() }
        #expect(error?.code == .limit && "\(error?.description ?? "")".contains("11"))
        #expect(try many.deletions(most: 11).count == 11)
        #expect(throws: SluiceError.self) { try whole.deletions(most: 9) }
        let refusal = SluiceError(.unsafeName, "odd")
        let partial = try plan([], manifest([files[0]]), refused: [ObjectKey("x"): refusal])
        #expect(#expect(throws: SluiceError.self) { try partial.deletions(most: 100) }?.code == .unconfirmed)
    }

    @Test func `a path that the sink cannot keep goes elsewhere, each to its own place`() {
        let long = ObjectKey(String(repeating: "x", count: 300))
        let isKept = { (key: ObjectKey) in key.bytes.count < 256 }
        #expect(MirrorKeys.plain(ObjectKey("a/b"), isKept: isKept) == ObjectKey("a/b"))
        let places = [long, long.appending(ObjectKey("y")), ObjectKey(".sluice/refs/main.json")].map {
            MirrorKeys.plain($0, isKept: isKept)
        }
        #expect(Set(places).count == 3 && places.allSatisfy { $0.hasPrefix(MirrorKeys.records) && isKept($0) })
        #expect(MirrorKeys.ref("refs/pr/1") == ObjectKey(".sluice/refs/refs%2Fpr%2F1.json"))
        #expect(MirrorKeys.ref("a%2Fb") != MirrorKeys.ref("a/b"))
    }
}
