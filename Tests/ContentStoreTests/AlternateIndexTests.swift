import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Invariant 8: the directory is the truth.
@Suite struct AlternateIndexTests {
    let fixture: StoreFixture
    let store: ContentStore
    let writer: StoreWriter

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
        writer = try StoreWriter(store, tool: "test")
    }

    private var directory: LocalPath { LocalPath(fixture.directory.bytes("state/sluice/\(store.id)".utf8)) }
    private var file: String { "state/sluice/\(store.id)/alternates" }

    private func open() throws -> AlternateIndex { try AlternateIndex.open(store, in: directory) }

    private func commit(_ name: String, _ text: String, _ alternates: (String, String)...) throws {
        try writer.put(text, pool: fixture.pool)
        let file = Manifest.File(
            path: ObjectKey("f"),
            size: ByteCount(UInt64(text.utf8.count)),
            digest: SHA256.hash(text),
            alternates: alternates.map { Manifest.Alternate(kind: $0.0, value: $0.1) }
        )
        let name = try RevisionName(kind: "model", name: name, revision: "1")
        #expect(try writer.commit(Manifest(name, [file])) == .committed)
    }

    private func answers() throws -> [[AlternateIndex.Match]] {
        for _ in 0..<2 {
            let index = try open()
            do throws(IndexDamage) {
                let names = [("git-sha1", "11"), ("etag", "11"), ("etag", "22"), ("et", "ag11")]
                return try names.map { (kind, value) throws(IndexDamage) in try index.lookup(kind: kind, value: value) }
            } catch {
                // Told once, and made anew.
                continue
            }
        }
        Issue.record("an index that was just made is damaged")
        return []
    }

    private func fill() throws {
        try commit("a", "one", ("git-sha1", "11"), ("etag", "22"))
        try commit("b", "two!", ("etag", "22"))
        try commit("c", "one", ("etag", "22"))
    }

    private static let one = AlternateIndex.Match(digest: SHA256.hash("one"), size: ByteCount(3))
    private static let two = AlternateIndex.Match(digest: SHA256.hash("two!"), size: ByteCount(4))

    @Test func `every blob that some manifest has under a name is found, once`() throws {
        try #expect(open().lookup(kind: "etag", value: "22").isEmpty)
        try fill()
        let answers = try answers()
        #expect(answers[0] == [Self.one] && answers[1].isEmpty && answers[3].isEmpty)
        #expect(Set(answers[2]) == [Self.one, Self.two] && answers[2].count == 2)
    }

    @Test func `an index is made only for what it is worth`() throws {
        try fill()
        guard case .costs(let cost) = try AlternateIndex.open(store, in: directory, reading: 100) else {
            Issue.record("three manifests were read")
            return
        }
        #expect(cost > 600 && (try? fixture.directory.read(file.utf8)) == nil)
        guard case .opened(let index) = try AlternateIndex.open(store, in: directory, reading: cost) else {
            Issue.record("no index was made")
            return
        }
        #expect(try index.lookup(kind: "git-sha1", value: "11") == [Self.one])
        // What is current costs nothing; what is to be added to it is not all that is written.
        guard case .opened = try AlternateIndex.open(store, in: directory, reading: 0) else {
            Issue.record("it was not opened")
            return
        }
        try commit("d", "three", ("md5", "x"))
        guard case .costs(let more) = try AlternateIndex.open(store, in: directory, reading: 100) else {
            Issue.record("a manifest was read")
            return
        }
        #expect(more > cost / 3 + 1000)
    }

    @Test func `a CRC leads to no blob`() throws {
        try commit("a", "one", ("crc64nvme", "11"), ("etag", "11"))
        let index = try open()
        #expect(try index.lookup(kind: "crc64nvme", value: "11").isEmpty)
        #expect(try index.lookup(kind: "etag", value: "11") == [Self.one])
    }

    @Test func `an index that is current is read, and no manifest is`() throws {
        try fill()
        _ = try open()
        fixture.operations.repair()
        _ = try open()
        #expect(!fixture.operations.calls.contains { $0.kind == .open })
        // One more manifest is one more read.
        try commit("d", "three", ("md5", "x"))
        fixture.operations.repair()
        #expect(try open().lookup(kind: "md5", value: "x").count == 1)
        #expect(fixture.operations.calls.count { $0.kind == .open } == 1)
    }

    @Test func `invariant 8: any flipped bit, any cut, and another store's file change no answer`() throws {
        try fill()
        let expected = try answers()
        let good = try #require(try fixture.directory.read(file.utf8))
        for bit in stride(from: 0, to: good.count * 8, by: 331) {
            var bad = good
            bad[bit / 8] ^= 1 << UInt8(bit % 8)
            try fixture.directory.write(file, bad)
            #expect(try answers() == expected, "bit \(bit)")
        }
        for count in stride(from: 0, to: good.count, by: 131) {
            try fixture.directory.write(file, Array(good.prefix(count)))
            #expect(try answers() == expected, "\(count) bytes")
        }
        try fixture.directory.write(file, good + [0])
        #expect(try answers() == expected)
        // As if it were up to date.
        let manifests = try #require(AlternateFile(AlternatePlace(directory, store: store.id))).manifests
        var other = try AlternateWriter(AlternatePlace(directory, store: "other"), keeping: nil)
        _ = try other.finish(manifests: manifests)
        #expect(try answers() == expected)
    }

    @Test func `invariant 8: what is added to a damaged index is added to one that was made anew`() throws {
        try fill()
        _ = try open()
        var bad = try #require(try fixture.directory.read(file.utf8))
        // The first row.
        bad[IndexBlock.size] ^= 1
        try fixture.directory.write(file, bad)
        try commit("d", "three", ("md5", "x"))
        #expect(try open().lookup(kind: "md5", value: "x").count == 1)
        #expect(try answers()[0] == [Self.one])
    }

    @Test func `invariant 8: a stale copy and a missing one give the same answers, of list and usage too`() throws {
        _ = try open()
        let empty = try #require(try fixture.directory.read(file.utf8))
        try fill()
        let expected = try answers()
        let usage = try store.usage()
        try fixture.directory.write(file, empty)
        #expect(try answers() == expected && store.usage() == usage)
        _ = fixture.directory.bytes(file.utf8).withCPath { unlink($0) }
        #expect(try answers() == expected && store.usage() == usage)
        // A copy of a time when there were more manifests.
        let full = try #require(try fixture.directory.read(file.utf8))
        for name in ["a", "b", "c"] {
            #expect(try store.remove(RevisionName(kind: "model", name: name, revision: "1")))
        }
        try fixture.directory.write(file, full)
        #expect(try answers().allSatisfy(\.isEmpty))
    }

    @Test(arguments: [false, true])
    func `invariant 8: an index that cannot be written costs no more than a look, and is told`(isThere: Bool)
        async throws
    {
        let place = isThere ? "\(file)/in the way" : "state"
        try fill()
        try fixture.directory.write(place, [])
        let alternates = try alternates()
        fixture.operations.repair()
        for _ in 0..<2 { #expect(await alternates.ask { _ in true } == nil) }
        #expect(!fixture.operations.calls.contains { $0.kind == .read })
        #expect(fixture.notices.withLock { $0 }.count { if case .noIndex = $0 { true } else { false } } == 1)
        #expect(try fixture.directory.files().filter { $0.hasPrefix("state") } == [place])
    }

    @Test func `an index that cannot be brought up to date is used as it is, and that is told`() async throws {
        try fill()
        _ = try open()
        try commit("d", "three", ("md5", "x"))
        let path = try #require(fixture.paths().first { $0.hasPrefix("refs/model/d/") })
        try fixture.write(path, "damaged")
        let alternates = try alternates()
        let one = await alternates.ask { (index) throws(IndexDamage) in
            try index.lookup(kind: "git-sha1", value: "11")
        }
        #expect(one == [Self.one])
        // That nothing else has a name, it cannot tell.
        #expect(await alternates.ask { $0.isCurrent } == false)
        #expect(fixture.notices.withLock { $0 }.contains { if case .indexIsOld = $0 { true } else { false } })
    }

    @Test func `what a dead writer left of an index is removed, and what a living one makes is not`() throws {
        try fill()
        try fixture.directory.write("\(file).00.part", [1])
        let living = try AlternateWriter(AlternatePlace(directory, store: store.id), keeping: nil)
        #expect(try fixture.directory.files().count { $0.hasSuffix(".part") } == 1)
        _ = try open()
        #expect(try fixture.directory.files().count { $0.hasSuffix(".part") } == 1)
        withExtendedLifetime(living) {}
    }

    @Test func `what only a removed tree said is no answer, and goes when the index is written again`() throws {
        try fill()
        _ = try open()
        #expect(try store.remove(RevisionName(kind: "model", name: "a", revision: "1")))
        let answers = try answers()
        // Of the other two one says the same of the same blob.
        #expect(answers[0].isEmpty && Set(answers[2]) == [Self.one, Self.two])
        for day in 0..<20 {
            try commit("d", "day \(day)", ("md5", "\(day)"))
            _ = try open()
            #expect(try store.remove(RevisionName(kind: "model", name: "d", revision: "1")))
        }
        try commit("d", "three", ("md5", "x"))
        #expect(try self.answers() == answers && open().lookup(kind: "md5", value: "x").count == 1)
        let file = try #require(AlternateFile(AlternatePlace(directory, store: store.id)))
        var rows = 0
        _ = file.forEachRow { (_) throws(Never) in rows += 1 }
        #expect(file.manifests.count == 3 && rows == 3)
    }

    @Test func `a manifest that goes while it is read is read again should it come back`() throws {
        try fill()
        let path = try #require(fixture.paths().first { $0.hasPrefix("refs/model/a/") })
        let bytes = try #require(try fixture.directory.read("store/\(path)".utf8))
        let gone = fixture.directory.bytes("store/\(path)".utf8)
        fixture.operations.spoil { call, _ in
            if call.kind == .open, call.path == path { _ = gone.withCPath { unlink($0) } }
            return nil
        }
        #expect(try answers()[0].isEmpty)
        fixture.operations.repair()
        try fixture.directory.write("store/\(path)", bytes)
        #expect(try answers()[0] == [Self.one])
    }

    @Test func `invariant 8: blocks of an earlier edition, and blocks in another order, are damage`() throws {
        let place = AlternatePlace(directory, store: store.id)
        var editions: [[UInt8]] = []
        let blob = BlobKey(SHA256.hash("x"))
        let rows = (0..<200).map { AlternateRow(name: .init(SHA256.hash("\($0)")), blob: blob, size: 1, manifest: 0) }
        for _ in 0..<2 {
            var writer = try AlternateWriter(place, keeping: nil)
            for row in rows { try writer.append(row) }
            _ = try writer.finish(manifests: [])
            editions.append(try #require(try fixture.directory.read(self.file.utf8)))
        }
        let (second, third) = (IndexBlock.size..<2 * IndexBlock.size, 2 * IndexBlock.size..<3 * IndexBlock.size)
        var old = editions[1]
        old.replaceSubrange(second, with: editions[0][second])
        var moved = editions[1]
        moved.replaceSubrange(second, with: editions[1][third])
        moved.replaceSubrange(third, with: editions[1][second])
        for (bytes, isWhole) in [(editions[1], true), (old, false), (moved, false)] {
            try fixture.directory.write(self.file, bytes)
            let file = try #require(AlternateFile(place))
            #expect(file.forEachRow { (_) throws(Never) in } == isWhole)
            #expect(rows.allSatisfy { file.rows(of: $0.name) == [$0] } == isWhole)
        }
    }

    @Test func `a store that cannot be read is an error, not an empty index`() throws {
        try fill()
        fixture.operations.spoil { call, _ in call.kind == .names && call.path == "refs/model" ? .fail(EIO) : nil }
        #expect(throws: SluiceError.self) { try open() }
    }

    @Test func `an index of any length is made of sorted runs, and finds what a dictionary finds`() throws {
        var generator = SeededGenerator(11)
        let place = AlternatePlace(directory, store: store.id)
        var writer = try AlternateWriter(place, keeping: nil, most: 300)
        var expected: [BlobKey: Set<AlternateRow>] = [:]
        // The first has more blobs than fit in two blocks.
        let names = (0..<2_000).map { AlternateRow.name(kind: "md5", value: "\($0)") }
        for _ in 0..<5_000 {
            let name = names[Bool.random(using: &generator) ? Int.random(in: 0..<2_000, using: &generator) : 0]
            let blob = BlobKey(SHA256.hash("\(Int.random(in: 0..<400, using: &generator))"))
            let size = UInt64.random(in: 0..<2, using: &generator)
            let row = AlternateRow(name: name, blob: blob, size: size, manifest: .random(in: 0..<4, using: &generator))
            try writer.append(row)
            expected[name, default: []].insert(row)
        }
        let manifests = Array(names[..<4])
        let written = try writer.finish(manifests: manifests)
        let read = try #require(AlternateFile(place))
        #expect(read.manifests == manifests)
        #expect(try fixture.directory.files().filter { $0.hasPrefix("state/") } == [file])
        for file in [written, read] {
            for name in names { #expect(file.rows(of: name) == (expected[name] ?? []).sorted()) }
            #expect(file.rows(of: AlternateRow.name(kind: "md5", value: "none")) == [])
            var rows: [AlternateRow] = []
            let isWhole = file.forEachRow { (row) throws(Never) in rows.append(row) }
            #expect(isWhole && rows == expected.values.joined().sorted())
        }
        // More of them later are the same as all at once, but for what the second manifest said.
        let places: [UInt32?] = [0, nil, 1, 2]
        for (name, rows) in expected {
            expected[name] = Set(
                rows.compactMap { row in
                    places[Int(row.manifest)].map {
                        AlternateRow(name: name, blob: row.blob, size: row.size, manifest: $0)
                    }
                }
            )
        }
        var later = try AlternateWriter(place, keeping: read, places: places, most: 300)
        for name in names[..<1_000] {
            let row = AlternateRow(name: name, blob: name, size: 3, manifest: 3)
            try later.append(row)
            expected[name, default: []].insert(row)
        }
        _ = try later.finish(manifests: manifests)
        let grown = try #require(AlternateFile(place))
        for name in names { #expect(grown.rows(of: name) == (expected[name] ?? []).sorted()) }
    }

    @Test func `a disk that damages the index twice is given none`() async throws {
        try fill()
        let alternates = try alternates()
        let path = fixture.directory.bytes(file.utf8)
        for expected in [[Self.one], [Self.one], nil, nil] {
            let found = await alternates.ask { (index) throws(IndexDamage) in
                try index.lookup(kind: "git-sha1", value: "11")
            }
            #expect(found == expected)
            guard let file = try? OwnedDescriptor.open(path, O_RDWR) else { continue }
            try withUnsafeBytes(of: UInt64.random(in: 1 ... .max)) { try file.write($0, at: UInt64(IndexBlock.size)) }
        }
        #expect(fixture.notices.withLock { $0 }.count { if case .noIndex = $0 { true } else { false } } == 1)
    }

    @Test(arguments: [false, true])
    func `many who ask at once read the manifests once, also if all meet damage`(isDamaged: Bool) async throws {
        try fill()
        if isDamaged {
            _ = try open()
            var bad = try #require(try fixture.directory.read(file.utf8))
            bad[IndexBlock.size] ^= 1
            try fixture.directory.write(file, bad)
        }
        let alternates = try alternates()
        fixture.operations.repair()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask(executorPreference: BlockingExecutor.shared) {
                    let found = await alternates.ask { (index) throws(IndexDamage) in
                        try index.lookup(kind: "git-sha1", value: "11")
                    }
                    #expect(found == [Self.one])
                }
            }
        }
        #expect(fixture.operations.calls.count { $0.kind == .read } == 3)
        #expect(fixture.notices.withLock { $0 }.isEmpty)
    }

    private func alternates() throws -> SharedIndex {
        let hints = LocalPath(fixture.directory.bytes("state/sluice".utf8))
        let stores = OpenStores(tool: "test", hints: hints, fixture.context)
        return try #require(try stores.share(fixture.path)?.alternates)
    }
}
