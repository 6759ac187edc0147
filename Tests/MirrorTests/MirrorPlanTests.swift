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
            evidence: file.object == nil ? [.sha256] : [.gitObject]
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

    @Test func `what earlier manifests brought is gone too, unless it is there again or its place is taken`() throws {
        let (a, b, c, d) = (large("a", "1"), large("b", "2"), large("c", "3"), large("d", "4"))
        let plan = try MirrorPlan(
            SourceTree(files: [a, d], pages: []),
            previous: manifest([a, b]),
            earlier: Dictionary(uniqueKeysWithValues: [a, b, c, d].map { ($0.path, kept($0)) })
        ) { file throws(SluiceError) in file.path }
        #expect(plan.gone.map { "\($0.path)" } == ["b", "c"] && !plan.leavesUnselected)
    }

    @Test func `what is there and not selected is left, and is said to be`() throws {
        let (a, b, c) = (large("a", "1"), large("b", "2"), large("c", "3"))
        func planned(_ previous: [SourceTree.File], _ earlier: [SourceTree.File]) throws -> MirrorPlan {
            try MirrorPlan(
                SourceTree(files: [a, b], pages: []),
                previous: manifest(previous),
                earlier: Dictionary(uniqueKeysWithValues: earlier.map { ($0.path, kept($0)) }),
                leavingOut: { $0 == b.path ? "not selected" : nil }
            ) { file throws(SluiceError) in file.path }
        }
        #expect(try planned([a, b], []).leavesUnselected && planned([a], [b, c]).leavesUnselected)
        #expect(try !planned([a, c], []).leavesUnselected && !planned([a], []).leavesUnselected)
    }

    @Test func `what a look found damaged comes again, whatever the manifests say`() throws {
        let files = [large("a", "1"), large("b", "2"), large("c", "3")]
        let sound = try plan(files, manifest(Array(files.prefix(2))))
        let renewed = sound.renewing([ObjectKey("a"), ObjectKey("c")])
        #expect(actions(renewed) == ["a": .changed, "b": .unchanged, "c": .new])
        #expect(renewed.items.filter(\.isRenewed).map(\.key) == [ObjectKey("a"), ObjectKey("c")])
        #expect(renewed.count(.changed).bytes == 1 << 30 && sound.moving.count == 1)
        #expect(sound.items.allSatisfy { !$0.isRenewed } && sound.renewing([]).moving.count == 1)
    }

    @Test func `what another revision has at the sink is taken from there`() throws {
        var twins = MirrorTwins()
        let (shared, other) = (large("shared", "1"), try small("git", "2"))
        var record = manifest([shared, other])
        for index in record.files.indices where record.files[index].object != nil {
            record.files[index].evidence = [.transport]
        }
        twins.add(record, isHere: false) { "s3://b/@v1/\($0)" }
        let named = large("renamed", "1")
        let files = [shared, named, large("own", "3"), other, large("longer", "1", size: 7)]
        func planned(_ twins: MirrorTwins) throws -> MirrorPlan {
            try MirrorPlan(SourceTree(files: files, pages: []), previous: nil, twins: twins) {
                file throws(SluiceError) in
                file.path
            }
        }
        let plan = try planned(twins)
        let places = Dictionary(uniqueKeysWithValues: plan.items.map { ("\($0.file.path)", $0.twin?.location) })
        #expect(places["shared"] == "s3://b/@v1/shared" && places["renamed"] == "s3://b/@v1/shared")
        #expect(places["own"] == .some(nil) && places["longer"] == .some(nil))
        // The manifest does not say that git's name is of its bytes.
        #expect(places["git"] == .some(nil))
        #expect(plan.count(.new) == (5, (1 << 30) + 5 + 7) && plan.shared == (2, 2 << 30))
        // A plan that was not carried out promises the same.
        var promised = MirrorTwins()
        promised.promise(plan)
        #expect(try planned(promised).shared.files == 5)
    }

    @Test func `what is not there as it was brought counts for nothing`() throws {
        let (same, other, away) = (large("same", "1"), large("other", "2"), large("away", "3"))
        let plan = try MirrorPlan(
            SourceTree(files: [same, other, away, large("newer", "5")], pages: []),
            previous: manifest([same, other, away, large("newer", "4")]),
            lost: [other.path: .replaced, away.path: .missing]
        ) { file throws(SluiceError) in file.path }
        #expect(actions(plan) == ["same": .unchanged, "other": .changed, "away": .new, "newer": .changed])
        #expect(plan.items.filter(\.isReplaced).map(\.file.path) == [other.path])
    }

    @Test func `git's name is believed only where the bytes were compared with it`() throws {
        let file = try small("git", "1")
        var record = manifest([file])
        #expect(try actions(plan([file], record)) == ["git": .unchanged])
        record.files[0].evidence = [.transport]
        #expect(try actions(plan([file], record)) == ["git": .changed])
    }

    @Test func `a sibling's word is taken for a SHA-256, and no other digest`() throws {
        let (big, little) = (large("big", "1"), try small("little", "2"))
        func planned(proven: Set<ObjectKey>) throws -> MirrorPlan {
            var twins = MirrorTwins()
            twins.add(manifest([big, little]), isHere: true, proven: proven) { "/m/\($0)" }
            return try MirrorPlan(SourceTree(files: [big, little], pages: []), previous: nil, twins: twins) {
                file throws(SluiceError) in
                file.path
            }
        }
        #expect(try actions(planned(proven: [])) == ["big": .unchanged, "little": .new])
        #expect(try planned(proven: []).items.allSatisfy(\.isShared), "none of it comes from the hub")
        #expect(try actions(planned(proven: [little.path])) == ["big": .unchanged, "little": .unchanged])
    }

    @Test func `a blob that is there has one more name, and of two names one comes`() throws {
        let (one, two) = (large("one", "1"), large("two", "1"))
        func planned(_ twins: MirrorTwins) throws -> MirrorPlan {
            try MirrorPlan(
                SourceTree(files: [one, two], pages: []),
                previous: nil,
                twins: twins,
                layout: .huggingFaceCache,
                key: HubCacheLayout.key
            )
        }
        let empty = try planned(MirrorTwins())
        #expect(empty.count(.new) == (2, 1 << 30) && Set(empty.items.map(\.key)).count == 1)
        var there = kept(one)
        there.key = try HubCacheLayout.key(one)
        var record = manifest([], layout: .huggingFaceCache)
        record.files = [there]
        var twins = MirrorTwins()
        twins.add(record, isHere: true) { "/cache/\($0)" }
        let plan = try planned(twins)
        #expect(plan.moving.isEmpty && plan.items.compactMap(\.kept).map(\.path) == [one.path, two.path])
        #expect(plan.items.allSatisfy { $0.kept?.place == there.place })
    }

    @Test func `a cache names files by the hub's tags, and refuses what it cannot keep`() throws {
        let (big, little) = (large("sub/a.bin", "1"), try small("b.json", "2"))
        #expect(try HubCacheLayout.key(big) == ObjectKey("blobs/\(SHA256.hash("1").hex)"))
        let object = try #require(little.object)
        #expect(try HubCacheLayout.key(little) == ObjectKey("blobs/\(object.hex)"))
        for path in ["a/../b", "/a", "a//b", String(repeating: "x", count: 256)] {
            let error = #expect(throws: SluiceError.self) { try HubCacheLayout.key(large(path, "1")) }
            #expect(error?.code == .unsafeName && error?.remedy?.contains("--exclude") == true)
        }
        let bare = SourceTree.File(path: ObjectKey("a"), size: 1, published: [], location: "")
        #expect(#expect(throws: SluiceError.self) { try HubCacheLayout.key(bare) }?.code == .unsupported)
    }

    @Test func `the list of files is what the hub's client writes, or none`() throws {
        let (little, object) = (try small("b.json", "2"), try #require(small("x", "3").object))
        var big = large("a.bin", "1")
        #expect(try HubCacheLayout.tree(SourceTree(files: [big], pages: [])) == nil, "no git name is published")
        big.object = object
        let text = try #require(try HubCacheLayout.tree(SourceTree(files: [little, big], pages: [])))
        let sha = SHA256.hash("1").hex
        #expect(
            String(decoding: text, as: UTF8.self) == """
                {"files":{"a.bin":{"blob_id":"\(object.hex)","lfs_sha256":"\(sha)","lfs_size":1073741824,\
                "size":1073741824},"b.json":{"blob_id":"\(try #require(little.object).hex)","size":5}},\
                "format_version":1}

                """
        )
        // One letter, spelled in two ways: two files.
        var twins = [large("caf\u{E9}", "1"), large("cafe\u{301}", "2")]
        for index in twins.indices { twins[index].object = object }
        let both = try #require(try HubCacheLayout.tree(SourceTree(files: twins, pages: [])))
        let spelled = String(decoding: both, as: UTF8.self).unicodeScalars.split(separator: "\"").map { Array($0) }
        #expect(twins.allSatisfy { spelled.contains(Array($0.path.text.unicodeScalars)) })
        #expect(
            try HubCacheLayout.tree(SourceTree(files: [], pages: [])) == Array(#"{"files":{},"format_version":1}"#.utf8)
                + [10]
        )
        let refused = [ObjectKey("x"): SluiceError(.unsafeName, "odd")]
        #expect(try HubCacheLayout.tree(SourceTree(files: [big], refused: refused, pages: [])) == nil)
    }

    @Test func `small files come first, and shards in their order`() throws {
        let files = [
            large("model-00002.safetensors", "1"), large("model-00001.safetensors", "2"), try small("z.json", "3"),
            try small("config.json", "4"),
        ]
        let order = try plan(files, nil).items.map { "\($0.file.path)" }
        #expect(order == ["config.json", "z.json", "model-00001.safetensors", "model-00002.safetensors"])
    }

    @Test func `nothing is deleted after an empty listing, or, unasked, after one that may be cut`() throws {
        let gone = large("d/gone", "1")
        func planned(_ files: [SourceTree.File], proven: Bool) throws -> MirrorPlan {
            let object = try #require(small("x", "3").object)
            let directories = proven ? [:] : [ObjectKey("d"): object]
            return try MirrorPlan(
                SourceTree(files: files, directories: directories, pages: []),
                previous: manifest([large("a", "2"), gone])
            ) { file throws(SluiceError) in file.path }
        }
        let empty = try planned([], proven: true)
        for most in [nil, 5] {
            let nothing = #expect(throws: SluiceError.self) { try empty.deletions(most: most) }
            #expect(nothing?.code == .unconfirmed && nothing?.message.contains("no file at all") == true)
        }
        let cut = try planned([large("a", "2")], proven: false)
        let unclear = #expect(throws: SluiceError.self) { try cut.deletions() }
        #expect(unclear?.code == .unconfirmed && unclear?.message.contains("1 of 1 directories") == true)
        #expect(unclear?.remedy?.contains("--max-delete 1") == true)
        #expect(try cut.deletions(most: 1).map(\.path) == [gone.path])
        #expect(try planned([large("a", "2")], proven: true).deletions().map(\.path) == [gone.path])
        #expect(try planned([large("a", "2"), gone], proven: false).deletions().isEmpty, "there is nothing to delete")
    }

    @Test func `what is not selected or was refused is left out, with its reason`() throws {
        let refusal = SluiceError(.unsafeName, "the name holds . or .. as a component")
        let plan = try plan([large("a", "1"), large("b.bin", "2")], nil, refused: [ObjectKey("../x"): refusal]) {
            path in
            path == ObjectKey("b.bin") ? "not selected" : nil
        }
        #expect(plan.items.count == 1)
        #expect(plan.leftOut.map(\.reason) == [refusal.message, "not selected"])
        let without = try self.plan([], nil, refused: [ObjectKey("../x"): refusal]) { _ in "not selected" }
        #expect(without.leftOut.map(\.reason) == ["not selected"])
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
