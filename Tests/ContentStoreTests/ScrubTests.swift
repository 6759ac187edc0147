import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite(.timeLimit(.minutes(30))) struct ScrubTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    @Test func `a sound store is read once, and nothing is found`() async throws {
        _ = try fixture.fill(["one", "two", "three"])
        let report = try await fixture.scrub()
        #expect(report.isSound && report.isComplete)
        #expect(report.blobs.count == 3 && report.blobs.bytes == ByteCount(11) && report.manifests == 3)
        #expect(report.run == report.blobs && report.shards == report.allShards)
        // The next one starts over.
        #expect(try await fixture.scrub().run.count == 3)
        // A store of an older program has no scrub/ yet.
        #expect(try fixture.paths().contains("scrub/pass.json"))
    }

    @Test func `invariant 9: bad bytes are found, kept and named, with the manifests they concern`() async throws {
        let store = try fixture.fill(["one", "two"])
        try fixture.flip(StoreFixture.blobPath("one"), bit: 9)
        let report = try await fixture.scrub()
        let finding = try #require(report.findings.first)
        #expect(report.findings.count == 1 && finding.what == .corrupt && finding.action == .setAside)
        #expect(finding.path == StoreFixture.blobPath("one") && finding.digest == SHA256.hash("one").hex)
        #expect(finding.manifests.map(\.manifest.name) == ["one"])
        #expect(finding.manifests.first?.paths == [ObjectKey("file-0")])
        #expect(try fixture.quarantine() == [try #require(finding.movedTo)])
        #expect(try store.open(SHA256.hash("one")) == nil && store.open(SHA256.hash("two")) != nil)
        // It stays reported to who comes later in the pass, and is missing afterwards.
        let next = try await fixture.scrub()
        #expect(next.paths(.missing) == [StoreFixture.blobPath("one")] && next.findings.count == 1)
        #expect(try fixture.quarantine().count == 1)
    }

    @Test func `invariant 9: what reads well the second time is sound`() async throws {
        _ = try fixture.fill(["one"])
        let failed = Locked(false)
        fixture.operations.spoil { call, _ in
            guard call.kind == .openDirect else { return nil }
            return failed.withLock { failed in
                defer { failed = true }
                return failed ? nil : .fail(EIO)
            }
        }
        let report = try await fixture.scrub()
        #expect(report.isSound && report.blobs.count == 1)
    }

    @Test func `invariant 9: a bit that flips on the way is not the disk's`() async throws {
        _ = try fixture.fill(["one"])
        let inode = try fixture.inode(StoreFixture.blobPath("one"))
        let reads = Locked(0)
        fixture.operations.spoil { call, _ in
            guard call.kind == .read, call.inode == inode else { return nil }
            return reads.withLock { reads in
                reads += 1
                return reads == 1 ? .flip : nil
            }
        }
        #expect(try await fixture.scrub().isSound)
        #expect(try fixture.quarantine().isEmpty && reads.withLock { $0 } == 2)
    }

    @Test(arguments: [EIO, ESTALE, EACCES])
    func `what cannot be read is reported and left alone`(number: Int32) async throws {
        _ = try fixture.fill(["one", "two"])
        fixture.operations.spoil { call, _ in
            call.kind == .openDirect && call.path == StoreFixture.blobPath("one") ? .fail(number) : nil
        }
        let report = try await fixture.scrub()
        #expect(report.paths(.unreadable) == [StoreFixture.blobPath("one")] && report.findings.count == 1)
        #expect(report.findings.first?.manifests.count == 1)
        #expect(try fixture.quarantine().isEmpty && fixture.blobs().count == 2)
    }

    @Test func `invariant 9: where O_DIRECT cannot be had the cache is dropped`() async throws {
        _ = try fixture.fill(["one"])
        fixture.operations.spoil { call, _ in call.kind == .openDirect ? .fail(EINVAL) : nil }
        let report = try await fixture.scrub()
        #expect(report.isSound && report.blobs.count == 1)
        let path = StoreFixture.blobPath("one")
        let calls = fixture.operations.calls
        let opened = try #require(calls.lastIndex { $0.kind == .open && $0.path == path })
        let next = calls[(opened + 1)...].filter { [.dropCache, .read].contains($0.kind) }
        #expect(next.map(\.kind).prefix(2) == [.dropCache, .read])
    }

    @Test func `permissions are put right, once for a directory`() async throws {
        _ = try fixture.fill(["one"])
        let path = fixture.directory.bytes("store/\(StoreFixture.blobPath("one"))".utf8)
        _ = path.withCPath { chmod($0, 0o644) }
        let report = try await fixture.scrub()
        #expect(report.paths(.wrongMode).count == 1 && report.findings.first?.action == .mended)
        #expect(try FileStatus(path).permissions == 0o444)
        #expect(try await fixture.scrub().isSound)
    }

    @Test func `names of strangers, twins by case, heads that lead nowhere, second names under tmp`() async throws {
        let store = try fixture.fill(["one"])
        let blob = StoreFixture.blobPath("one")
        let shard = String(blob.prefix(15))
        try fixture.write("\(shard)/\(blob.split(separator: "/")[3].uppercased())", "x")
        try fixture.write("\(shard)/note.txt", "x")
        try fixture.write("\(shard)/Note", "x")
        try fixture.write("\(shard)/.nfs0001", "x")
        try fixture.write("blobs/sha256/zz/x", "x")
        try fixture.write("refs/model/README", "x")
        try fixture.write("heads/model/one/gone", "2\n")
        try fixture.write("heads/model/one/torn", "2")
        let dead = try StoreWriter(store, tool: "dead")
        try dead.put("two", pool: fixture.pool)
        let staging = dead.staging.path
        link("\(fixture.path)/\(StoreFixture.blobPath("two"))", "\(staging)/1.part")
        try fixture.removeLeases()
        let report = try await fixture.scrub()
        #expect(report.paths(.caseTwin).count == 1)
        let expected = ["\(shard)/Note", "\(shard)/note.txt", "blobs/sha256/zz", "refs/model/README"]
        #expect(Set(report.paths(.stray)) == Set(expected))
        #expect(Set(report.paths(.danglingHead)) == ["heads/model/one/gone", "heads/model/one/torn"])
        #expect(report.paths(.orphanedLink) == ["tmp/\(dead.id)/1.part"])
        #expect(report.findings.count == 8 && report.findings.allSatisfy { $0.action == .none })
        #expect(try fixture.quarantine().isEmpty)
    }

    @Test func `invariant 9: a rotten blob that was linked back is not fetched from the trash again`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        #expect(try store.open(SHA256.hash("garbage")) != nil)
        // Both names are there: the trash's goes with its run.
        #expect(try fixture.paths().count { $0.hasSuffix(SHA256.hash("garbage").hex) } == 2)
        try fixture.flip(StoreFixture.blobPath("garbage"), bit: 0)
        #expect(try await fixture.scrub().paths(.corrupt).count == 1)
        #expect(try store.open(SHA256.hash("garbage")) == nil)
        #expect(try fixture.quarantine().count == 1)
    }

    // MARK: - Manifests

    @Test func `invariant 6, invariant 9: a damaged manifest is set aside and stops collections until it is back`()
        async throws
    {
        let store = try fixture.fill(["one", "two"])
        let path = try fixture.manifestPath("one")
        let good = try #require(try fixture.directory.read("store/\(path)".utf8))
        // Any bit: the name tells.
        try fixture.flip(path, bit: good.count * 8 - 12)
        let report = try await fixture.scrub()
        #expect(report.paths(.damagedManifest) == [path])
        #expect(try fixture.quarantine().count == 1 && fixture.quarantine()[0].hasPrefix("quarantine/manifest."))
        // Its head leads nowhere, which is told beside it.
        #expect(report.paths(.danglingHead) == ["heads/model/one/main"])
        fixture.advance(by: StoreFixture.grace)
        let refusal = await #expect(throws: SluiceError.self) { try await fixture.collect() }
        // Which manifest, and which file has to go if it is not to come back.
        #expect(try refusal?.message.contains("\(path) (set aside as \(fixture.quarantine()[0]))") == true)
        #expect(try fixture.blobs().count == 2)
        try fixture.directory.write("store/\(path)", good)
        #expect(try await fixture.collect().condemned.count == 0)
        #expect(try fixture.lost(store).isEmpty)
    }

    @Test func `who forces a collection does without a manifest that was set aside`() async throws {
        _ = try fixture.fill(["one", "two"])
        try fixture.flip(fixture.manifestPath("one"), bit: 3)
        _ = try await fixture.scrub()
        var options = CollectionOptions()
        options.isForced = true
        #expect(try await fixture.collect(options).condemned.count == 1)
    }

    @Test func `a manifest of a later version is no damaged one`() async throws {
        _ = try fixture.fill(["one"])
        let path = try fixture.manifestPath("one")
        let bytes = try #require(try fixture.directory.read("store/\(path)".utf8))
        let later = String(decoding: bytes, as: UTF8.self).replacing(#""version":1"#, with: #""version":9"#)
        let written = "refs/model/one/1.\(SHA256.hash(later).hex).json"
        try fixture.write(written, later)
        await #expect(throws: SluiceError.self) { try await fixture.scrub() }
        #expect(try fixture.quarantine().isEmpty && fixture.paths().contains(written))
    }

    // MARK: - Pace

    @Test func `the rate is kept by waiting on the given clock, and a run ends in time`() async throws {
        _ = try fixture.fill((0..<8).map { "\($0)" + String(repeating: "x", count: 1023) })
        var options = StoreFixture.careful
        options.rate = ByteCount(1024)
        options.maxDuration = .milliseconds(3500)
        let started = fixture.time.now()
        let first = try await fixture.scrub(options)
        #expect(!first.isComplete && first.run.count == 4)
        #expect(fixture.time.now() - started == .seconds(4))
        options.maxDuration = nil
        let second = try await fixture.scrub(options)
        #expect(second.isComplete && second.run.count == 4 && second.blobs.count == 8)
        // No blob twice in one pass.
        let read = fixture.operations.calls.filter { $0.kind == .openDirect }.map(\.path)
        #expect(read.count == 8 && Set(read).count == 8)
    }

    @Test func `invariant 9: a scrub goes on at the blob where it stopped, in the midst of a directory`() async throws {
        let texts = (0..<2000).map { "text \($0)" }.filter { SHA256.hash($0).hex.hasPrefix("a0") }.prefix(4)
        _ = try fixture.fill(Array(texts))
        var options = StoreFixture.careful
        // One blob a run.
        options.rate = ByteCount(1)
        options.maxDuration = .nanoseconds(1)
        var report = try await fixture.scrub(options)
        for _ in 0..<20 where !report.isComplete {
            fixture.advance(by: .seconds(60))
            report = try await fixture.scrub(options)
        }
        #expect(report.isComplete && report.blobs.count == texts.count && texts.count == 4)
        let read = fixture.operations.calls.filter { $0.kind == .openDirect }.map(\.path)
        #expect(read == texts.map { StoreFixture.blobPath($0) }.sorted())
    }

    @Test func `the directory whose last look is longest ago comes first`() async throws {
        _ = try fixture.fill(["one", "two", "three"])
        var options = StoreFixture.careful
        // One blob a run: the first run begins a new pass and does its part of it.
        options.rate = ByteCount(1)
        options.maxDuration = .nanoseconds(1)
        var read: [[String]] = []
        for _ in 0..<2 {
            fixture.operations.repair()
            while try await !fixture.scrub(options).isComplete { fixture.advance(by: .seconds(60)) }
            read.append(fixture.operations.calls.filter { $0.kind == .openDirect }.map(\.path))
            fixture.advance(by: .seconds(3600))
            // The second pass takes them in the order of the first, whatever their names.
            if read.count == 1 { try fixture.reverseAges() }
        }
        #expect(read[0].count == 3 && read[1] == read[0].reversed())
    }

    @Test func `the lease is renewed while the scrub runs`() async throws {
        let store = try fixture.fill((0..<4).map { "\($0)" + String(repeating: "x", count: 1023) })
        var options = StoreFixture.careful
        options.rate = ByteCount(1)
        let writer = try StoreWriter(store, tool: "scrub", timeToLive: .seconds(8192))
        #expect(try await Scrubber(writer, options).run().isComplete)
        #expect(writer.lapses == 0)
        try writer.end()
    }

    // MARK: - Several hosts

    @Test func `hosts take different directories, and share a pass`() async throws {
        let store = try fixture.fill(["one", "two", "three"])
        let other = try StoreWriter(store, tool: "other")
        let shard = StoreName.shard(SHA256.hash("one"))
        #expect(try other.claim(StoreName("scrub-\(shard)")) == .mine)
        let first = try await fixture.scrub()
        #expect(first.heldElsewhere == 1 && first.blobs.count == 2 && !first.isComplete)
        try other.end()
        let second = try await fixture.scrub()
        #expect(second.isComplete && second.run.count == 1 && second.blobs.count == 3)
    }

    // MARK: - Read only

    @Test func `a verification finds the same and changes nothing`() async throws {
        let store = try fixture.fill(["one", "two", "three"])
        try fixture.flip(StoreFixture.blobPath("one"), bit: 1)
        try fixture.flip(fixture.manifestPath("two"), bit: 3)
        let mode = fixture.directory.bytes("store/\(StoreFixture.blobPath("three"))".utf8)
        _ = mode.withCPath { chmod($0, 0o644) }
        let before = try fixture.picture()
        fixture.operations.repair()
        let report = try await store.verify()
        #expect(!fixture.operations.calls.contains { $0.kind.isMutation })
        #expect(try fixture.picture() == before)
        #expect(report.isComplete && report.findings.allSatisfy { $0.action == .none && $0.movedTo == nil })
        let found = Set(report.findings.map(\.what))
        #expect(found == [.corrupt, .damagedManifest, .wrongMode, .danglingHead])
    }

    @Test func `a verification of one manifest reads its blobs only`() async throws {
        let store = try fixture.fill(["one", "two", "three"])
        try fixture.flip(StoreFixture.blobPath("one"), bit: 1)
        try fixture.flip(StoreFixture.blobPath("two"), bit: 1)
        let report = try await store.verify(only: manifest("both", "1", "one", "three", "absent"))
        #expect(report.paths(.corrupt) == [StoreFixture.blobPath("one")])
        #expect(report.paths(.missing) == [StoreFixture.blobPath("absent")])
        #expect(report.findings.count == 2 && report.run.count == 2 && report.isComplete)
    }

    // MARK: - Ignorance

    @Test(arguments: [EIO, ESTALE, EACCES, ETIMEDOUT])
    func `invariant 6: a listing that fails is an error, no report of missing blobs`(number: Int32) async throws {
        let store = try fixture.fill(["one", "two"])
        let shard = String(StoreFixture.blobPath("one").prefix(15))
        for place in [shard, "blobs/sha256", "refs", "refs/model", "refs/model/one"] {
            fixture.operations.spoil { call, _ in
                call.kind == .names && call.path == place ? .fail(number) : nil
            }
            await #expect(throws: SluiceError.self, "\(place)") { try await fixture.scrub() }
            await #expect(throws: SluiceError.self, "\(place)") { try await store.verify() }
            #expect(throws: SluiceError.self, "\(place)") { try store.usage() }
            if place != "blobs/sha256" { #expect(throws: SluiceError.self, "\(place)") { try store.missingBlobs() } }
        }
        #expect(try fixture.quarantine().isEmpty && fixture.blobs().count == 2)
    }

    @Test func `invariant 8: a record of the scrub that is damaged costs work and no more`() async throws {
        _ = try fixture.fill(["one", "two"])
        _ = try await fixture.scrub()
        for path in try fixture.paths() where path.hasPrefix("scrub/") { try fixture.write(path, "{") }
        try fixture.flip(StoreFixture.blobPath("one"), bit: 1)
        let report = try await fixture.scrub()
        #expect(report.paths(.corrupt).count == 1 && report.blobs.count == 2 && report.isComplete)
    }
}

extension StoreFixture {
    /// Turns the order round in which the directories were looked at.
    fileprivate func reverseAges() throws {
        let names = try paths().filter { $0.hasPrefix("scrub/") && $0.count == "scrub/ab.json".count }
        for name in names {
            let bytes = try #require(try directory.read("store/\(name)".utf8))
            var record = try StoreRecord.decode(ScrubRecord.self, bytes, name)
            record.finished = record.finished.map { -$0 }
            try directory.write("store/\(name)", try StoreRecord.encode(record))
        }
    }
}
