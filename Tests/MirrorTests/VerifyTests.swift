import SluiceBytes
import SluicePipeline
import Testing

@testable import SluiceMirror

@Suite struct VerifyTests {
    private static let sha = SHA256.hash("x")
    private static let other = SHA256.hash("y")

    private static func git(_ text: String) -> Digest {
        let digest = RunningDigest(.gitSHA1, size: UInt64(text.utf8.count))
        Array(text.utf8).withUnsafeBytes { digest.update($0) }
        return digest.finish()
    }

    private static func crc(_ byte: UInt8) throws -> Digest {
        try #require(Digest(.crc64nvme, bytes: Array(repeating: byte, count: 8)))
    }

    // MARK: - Comparing

    @Test func aSharedDigestProvesAndAnyDifferenceRefutes() throws {
        let known = KnownContent(size: 1, digests: [Self.sha, Self.git("x")])
        #expect(known.compared(with: KnownContent(size: 1, digests: [Self.sha])) == .same)
        #expect(known.compared(with: KnownContent(size: nil, digests: [Self.git("x")])) == .same)
        #expect(
            known.compared(with: KnownContent(size: 1, digests: [Self.sha, Self.git("y")]))
                == .differs("\(Self.git("x"))", "\(Self.git("y"))")
        )
        #expect(known.compared(with: KnownContent(size: 2, digests: [Self.sha])) == .differs("1 bytes", "2 bytes"))
        #expect(known.compared(with: KnownContent(size: 1, digests: [Self.other])) != .same)
    }

    @Test func nothingSharedIsUnknownAndSoIsAChecksum() throws {
        let (left, right) = (try Self.crc(1), try Self.crc(2))
        let cases: [(KnownContent, KnownContent)] = [
            (KnownContent(size: 1, digests: [Self.sha]), KnownContent(size: 1, digests: [Self.git("x")])),
            (KnownContent(size: 1), KnownContent(size: 1)),
            (KnownContent(size: nil), KnownContent(size: nil)),
            (KnownContent(size: 1, digests: [left]), KnownContent(size: 1, digests: [left])),
        ]
        for (one, two) in cases {
            guard case .unknown = one.compared(with: two) else {
                Issue.record("\(one) and \(two) have nothing that proves them equal")
                continue
            }
        }
        #expect(
            KnownContent(size: 1, digests: [left]).compared(with: KnownContent(size: 1, digests: [right]))
                == .differs("\(left)", "\(right)")
        )
    }

    @Test func emptyFilesAreTheSameWhateverIsKnownOfThem() {
        #expect(KnownContent(size: 0).compared(with: KnownContent(size: 0)) == .same)
    }

    // MARK: - Which revision is meant

    @Test func sevenDigitsNameACommitWhereNoOtherBeginsWithThem() throws {
        func entry(_ revision: String, _ text: String) -> MirrorRef.Entry {
            MirrorRef.Entry(manifest: SHA256.hash(text), revision: revision, since: 1)
        }
        let first = entry("abcdef0" + String(repeating: "1", count: 33), "1")
        let second = entry("abcdef0" + String(repeating: "2", count: 33), "2")
        let refs = [MirrorRef(name: "main", first).moved(to: second), MirrorRef(name: "v1", first)]
        func chosen(_ text: String) throws -> MirrorRef.Entry { try MirrorRef.chosen(text, of: refs, at: "x").entry }
        #expect(try chosen("abcdef01") == first)
        #expect(try chosen("abcdef02") == second)
        #expect(try chosen(String(first.manifest.hex.prefix(7))) == first)
        let unclear = #expect(throws: SluiceError.self) { try chosen("abcdef0") }
        #expect(unclear?.code == .usage)
        #expect(unclear?.message.contains(first.revision) == true && unclear?.message.contains(second.revision) == true)
        for none in ["abcdef", "ABCDEF01", "abcdef03", "main-not", "abcdef0z"] {
            let unknown = #expect(throws: SluiceError.self) { try chosen(none) }
            #expect(unknown?.code == .notFound, "\(none)")
        }
    }

    @Test func aRepairTakesNothingFromALaterRevision() throws {
        func file(_ text: String, _ path: String = "a") -> MirrorManifest.File {
            MirrorManifest.File(
                path: ObjectKey(path),
                size: UInt64(text.utf8.count),
                sha256: SHA256.hash(text),
                evidence: [.sha256]
            )
        }
        func rollback(
            _ files: [MirrorManifest.File],
            isLater: Bool,
            layout: MirrorLayout = .plain
        ) -> VerifyRollback {
            let source = SourceRevision(
                hub: "h",
                endpoint: "e",
                kind: "models",
                name: "o/n",
                requested: "dev",
                resolved: "d"
            )
            let manifest = MirrorManifest(
                source: source,
                asked: "hf://o/n",
                listing: Self.sha,
                files: files,
                layout: layout,
                tool: "t",
                written: 0
            )
            return VerifyRollback([VerifyRollback.Other(ref: "dev", manifest: manifest, isLater: isLater)])
        }
        let rotten = VerifyResult(ObjectKey("a"), .differs, found: "\(SHA256.hash("z"))")
        let theirs = VerifyResult(ObjectKey("a"), .differs, found: "\(SHA256.hash("y"))")
        let shorter = VerifyResult(ObjectKey("a"), .differs, found: "2 bytes")
        let missing = VerifyResult(ObjectKey("a"), .missing)
        let mine = file("x")
        #expect(rollback([file("y")], isLater: true).objection(to: mine, rotten)?.ref == "dev")
        #expect(rollback([file("y")], isLater: false).objection(to: mine, rotten) == nil)
        #expect(rollback([file("y")], isLater: false).objection(to: mine, theirs)?.ref == "dev")
        #expect(rollback([file("yy")], isLater: false).objection(to: mine, shorter)?.ref == "dev")
        #expect(rollback([file("x")], isLater: true).objection(to: mine, rotten) == nil)
        #expect(rollback([file("y", "b")], isLater: true).objection(to: mine, missing)?.ref == "dev")
        #expect(rollback([file("y", "b")], isLater: true).objection(to: mine, rotten) == nil)
        #expect(rollback([file("y", "b")], isLater: false).objection(to: mine, missing) == nil)
        #expect(rollback([file("y")], isLater: true, layout: .huggingFaceCache).objection(to: mine, theirs) == nil)
    }

    @Test func aRefTellsWhereItsMirrorIs() {
        let cases = [
            "@v1/.sluice/refs/main.json": "@v1/", "a/b/.sluice/refs/refs%2Fpr%2F1.json": "a/b/",
            ".sluice/refs/main.json": nil, "a/.sluice/refs/main": nil, "a/.sluice/manifests/x.json": nil,
            "a/.sluice/refs/b/main.json": nil, "a.sluice/refs/main.json": nil, "refs/main.json": nil,
        ]
        for (key, root) in cases {
            #expect(MirrorKeys.root(ofRef: ObjectKey(key)) == root.map { ObjectKey($0) }, "\(key)")
        }
    }

    // MARK: - What a manifest says

    private func file(
        _ path: String,
        key: String? = nil,
        evidence: [MirrorManifest.Evidence] = [.sha256],
        object: Digest? = nil
    ) -> MirrorManifest.File {
        MirrorManifest.File(
            path: ObjectKey(path),
            key: key.map { ObjectKey($0) },
            size: 1,
            sha256: Self.sha,
            object: object,
            evidence: evidence
        )
    }

    @Test func onlyAProvenGitNameIsOneOfTheBytes() {
        #expect(file("a", evidence: [.gitObject], object: Self.git("x")).content.digests == [Self.sha, Self.git("x")])
        #expect(file("a", evidence: [.transport], object: Self.git("x")).content.digests == [Self.sha])
        #expect(file("a", evidence: [.gitPointer], object: Self.git("x")).content.digests == [Self.sha])
    }

    @Test func aPointerIsMadeAnewAndAPlaceIsAFilesOwn() {
        let pointer = LFSPointer(sha256: Self.sha, size: 1).object
        #expect(file("a", evidence: [.gitPointer], object: pointer).objection == nil)
        #expect(file("a", evidence: [.gitPointer], object: Self.git("x")).objection?.contains("\(pointer)") == true)
        #expect(file("a", evidence: [.gitPointer]).objection != nil)
        #expect(file(".sluice/mine", key: MirrorKeys.stand(in: ObjectKey(".sluice/mine")).text).objection == nil)
        #expect(file(".sluice/mine").objection != nil)
        #expect(file("a", key: ".sluice/refs/main.json").objection != nil)
        #expect(file("a", key: MirrorKeys.stand(in: ObjectKey("b")).text).objection != nil)
    }

    // MARK: - Which ref

    private func ref(_ name: String, _ entries: [(Digest, String)]) -> MirrorRef {
        let made = entries.map { MirrorRef.Entry(manifest: $0.0, revision: $0.1, since: 0) }
        return made.dropFirst().reduce(MirrorRef(name: name, made[0])) { $0.moved(to: $1) }
    }

    @Test func theOnlyRefIsMeantAndSeveralHaveToBeNamed() throws {
        let main = ref("main", [(Self.sha, "c1"), (Self.other, "c2")])
        #expect(try MirrorRef.chosen(nil, of: [main], at: "m/").entry.revision == "c2")
        #expect(try MirrorRef.chosen("main", of: [main], at: "m/").entry.manifest == Self.other)
        let dev = ref("dev", [(Self.sha, "c1")])
        let unclear = #expect(throws: SluiceError.self) { try MirrorRef.chosen(nil, of: [main, dev], at: "m/") }
        #expect(unclear?.code == .usage && unclear?.message.contains("dev, main") == true)
        #expect(try MirrorRef.chosen("dev", of: [main, dev], at: "m/").ref == "dev")
        let same = ref("v1", [(Self.other, "c2")])
        #expect(try MirrorRef.chosen(nil, of: [main, same], at: "m/").entry.manifest == Self.other)
    }

    @Test func aRevisionOfTheHistoryAndAManifestAreFound() throws {
        let main = ref("main", [(Self.sha, "c1"), (Self.other, "c2")])
        #expect(try MirrorRef.chosen("c1", of: [main], at: "m/").entry.manifest == Self.sha)
        #expect(try MirrorRef.chosen(Self.sha.hex, of: [main], at: "m/").entry.revision == "c1")
        // A name goes before what other refs once stood for.
        let odd = ref("c1", [(Self.other, "c3")])
        #expect(try MirrorRef.chosen("c1", of: [main, odd], at: "m/").entry.revision == "c3")
        for (asked, refs) in [("c9", [main]), (nil, [])] as [(String?, [MirrorRef])] {
            let missing = #expect(throws: SluiceError.self) { try MirrorRef.chosen(asked, of: refs, at: "m/") }
            #expect(missing?.code == .notFound)
        }
    }

    // MARK: - What was read

    private let pin = Pin.file(device: 1, inode: 2, size: 3, modified: 4)

    private func log(_ lines: [[UInt8]], at now: Int64 = 100, of location: String = "m/") throws -> VerifyLog? {
        let head = try VerifyLog(location: "m/", manifest: Self.sha, begun: 50).head()
        return VerifyLog(head + lines.flatMap { $0 }, location: location, manifest: Self.sha, now: now)
    }

    @Test func aLogGoesOnAfterALineThatWasCutShort() throws {
        let odd = ObjectKey(bytes: [0xFF, 0x0A, 0x22])
        let lines = [
            try VerifyLog.line(ObjectKey("a"), pin), try VerifyLog.line(odd, .etag("\"t\"", size: 3)),
            Array("{}\n".utf8), try VerifyLog.line(ObjectKey("b"), pin).dropLast(2),
        ]
        let found = try #require(try log(lines))
        #expect(found.sound == [ObjectKey("a"): pin, odd: .etag("\"t\"", size: 3)] && found.begun == 50)
    }

    @Test func aLogOfSomethingElseOrOfLongAgoIsNone() throws {
        #expect(try log([], of: "n/") == nil)
        #expect(try log([], at: 49) == nil)
        #expect(try log([], at: 51 + VerifyLog.longest) == nil)
        #expect(VerifyLog([], location: "m/", manifest: Self.sha, now: 0) == nil)
        #expect(VerifyLog(Array("\n\n{".utf8), location: "m/", manifest: Self.sha, now: 0) == nil)
    }

    // MARK: - The status

    @Test func aDifferenceGoesBeforeAllElse() {
        var tally = VerifyTally()
        tally.add(VerifyResult(ObjectKey("a"), .same, .read))
        #expect(tally.failures.isEmpty)
        tally.add(VerifyResult(ObjectKey("b"), .missing))
        #expect(tally.failures == [.notFound: 1])
        tally.add(VerifyResult(ObjectKey("c"), .extra))
        tally.add(VerifyResult(ObjectKey("d"), .error, error: SluiceError(.network, "n")))
        #expect(tally.failures == [.notFound: 1, .exists: 1, .network: 1])
        tally.add(VerifyResult(ObjectKey("e"), .differs, .read))
        #expect(tally.failures == [.digestMismatch: 1] && tally.count(.read) == 2)
    }
}
