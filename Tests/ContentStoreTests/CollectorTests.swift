import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

extension StoreFixture {
    static let grace = Duration.seconds(60 * 3600)

    /// A collection by a process of its own.
    @discardableResult
    func collect(
        _ options: CollectionOptions = CollectionOptions(),
        gate: @escaping Collector.Gate = { _ in }
    ) async throws -> CollectionReport {
        let writer = try StoreWriter(ContentStore.open(path, context), tool: "gc")
        defer { try? writer.end() }
        return try await Collector(writer, options, gate: gate).run()
    }

    /// A manifest `m` of `kept`, and `garbage` that nothing refers to, both old.
    func fill() throws -> ContentStore {
        let store = try make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("kept", "garbage", pool: pool)
        #expect(try writer.commit(manifest("m", "1", "kept")) == .committed)
        try writer.end()
        advance(by: StoreFixture.grace)
        return store
    }

    /// Blobs that some manifest refers to and that do not open with their bytes.
    func lost(_ store: ContentStore) throws -> [String] {
        var lost: [String] = []
        try store.forEachManifest(as: Manifest.File.self) { (name, files) throws(SluiceError) in
            for file in files {
                guard let blob = try store.open(file.digest),
                    try store.files.digest(of: blob.file, pool: pool, "").finalized() == file.digest
                else {
                    lost.append("\(name) \(file.path)")
                    continue
                }
            }
        }
        return lost
    }
}

@Suite struct CollectorTests {
    let fixture: StoreFixture

    init() throws {
        fixture = try StoreFixture()
    }

    private func has(_ text: String) throws -> Bool {
        try fixture.blobs().contains { $0.hasSuffix(SHA256.hash(text).hex) }
    }

    @Test func `garbage goes in two steps, and what is referred to stays`() async throws {
        let store = try fixture.fill()
        let first = try await fixture.collect()
        #expect(first.condemned.count == 1 && first.condemned.bytes == ByteCount(7) && first.removed.count == 0)
        #expect(try has("kept") && !has("garbage"))
        // Too early.
        let second = try await fixture.collect()
        #expect(second.waiting.count == 1 && second.removed.count == 0)
        fixture.advance(by: StoreFixture.grace)
        let third = try await fixture.collect()
        #expect(third.removed.count == 1 && third.removed.bytes == ByteCount(7))
        #expect(try fixture.lost(store).isEmpty)
        let rest = try fixture.paths().filter { !$0.hasPrefix("blobs/") && !$0.hasPrefix("refs/") }
        #expect(rest == ["sluice-store.json", "trash/last.json"])
    }

    @Test func `a dry run counts and touches nothing`() async throws {
        _ = try fixture.fill()
        let before = try fixture.paths()
        var options = CollectionOptions()
        options.isDryRun = true
        #expect(try await fixture.collect(options).condemned.count == 1)
        #expect(try fixture.paths() == before)
    }

    @Test func `invariant 5: pins of a live writer and of one that fell silent lately keep their blobs`() async throws {
        let store = try fixture.fill()
        let writer = try StoreWriter(store, pins: [SHA256.hash("garbage")], tool: "test")
        #expect(try await fixture.collect().condemned.count == 0)
        fixture.advance(by: .seconds(7200))
        #expect(try await fixture.collect().condemned.count == 0)
        fixture.advance(by: StoreFixture.grace)
        #expect(try await fixture.collect().condemned.count == 1)
        withExtendedLifetime(writer) {}
    }

    @Test func `invariant 5: who opens a condemned blob links it back`() async throws {
        let store = try fixture.fill()
        try await fixture.collect()
        let digest = SHA256.hash("garbage")
        #expect(try store.open(digest)?.size == ByteCount(7))
        #expect(try has("garbage"))
        #expect(try store.open(SHA256.hash("never")) == nil)
    }

    @Test func `invariant 5: a condemned blob comes back with its inode`() async throws {
        let store = try fixture.fill()
        let inode = try fixture.inode(try #require(fixture.blobs().first { $0.hasSuffix(SHA256.hash("garbage").hex) }))
        try await fixture.collect()
        // A writer that saw the blob before it was condemned, and dies after its manifest.
        let writer = try StoreWriter(store, tool: "test")
        try writer.publish(manifest("late", "1", "garbage"))
        fixture.advance(by: StoreFixture.grace)
        #expect(try await fixture.collect().resurrected.count == 1)
        #expect(try fixture.lost(store).isEmpty)
        #expect(
            try fixture.inode(#require(fixture.blobs().first { $0.hasSuffix(SHA256.hash("garbage").hex) })) == inode
        )
    }

    @Test func `without waiting the user vouches, and nobody may hold a lease`() async throws {
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("kept", "garbage", pool: fixture.pool)
        #expect(try writer.commit(manifest("m", "1", "kept")) == .committed)
        var options = CollectionOptions()
        options.isExclusive = true
        await #expect(throws: SluiceError.self) { try await fixture.collect(options) }
        #expect(try has("garbage"))
        try writer.end()
        #expect(try await fixture.collect(options).condemned.count == 1)
        #expect(try await fixture.collect(options).removed.count == 1)
        #expect(try fixture.lost(store).isEmpty)
    }

    @Test func `without waiting what a process of this machine left goes with it, and with waiting it stays`()
        async throws
    {
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        #expect(try writer.commit(manifest("m", "1")) == .committed)
        try writer.end()
        let dead = try StoreWriter(store, tool: "dead")
        try dead.put("pinned", pool: fixture.pool)
        try dead.pin([SHA256.hash("pinned")])
        _ = try dead.arrived("partial", pool: fixture.pool)
        let path = "leases/\(dead.id).json"
        let lease = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        // No process has a number beyond the kernel's limit (PID_MAX_LIMIT, 4,194,304).
        try fixture.write(path, lease.replacing("\"pid\":\(getpid())", with: "\"pid\":4194305"))
        let careful = try await fixture.collect()
        #expect(careful.pinned.count == 1 && careful.condemned.count == 0 && careful.swept.count == 0)
        #expect(careful.pinningWriters.count == 1 && careful.pinningWriters[0].contains("process 4194305"))
        var options = CollectionOptions()
        options.isExclusive = true
        let collected = try await fixture.collect(options)
        #expect(collected.pinned.count == 0 && collected.condemned.count == 1 && collected.swept.count == 1)
        #expect(try await fixture.collect(options).removed.count == 1)
        #expect(try !fixture.paths().contains { $0.hasPrefix("tmp/\(dead.id)") || $0 == path })
    }

    @Test func `invariant 7: one collection at a time, and a dead one stops nobody`() async throws {
        let store = try fixture.fill()
        let dead = try StoreWriter(store, tool: "gc")
        #expect(try dead.claim(StoreName("gc")) == .mine)
        await #expect(throws: SluiceError.self) { try await fixture.collect() }
        fixture.advance(by: .seconds(3700))
        #expect(try await fixture.collect().condemned.count == 1)
    }

    @Test func `what long dead writers left is swept after the grace, and not before`() async throws {
        let store = try fixture.fill()
        let dead = try StoreWriter(store, tool: "dead")
        _ = try dead.arrived("partial", pool: fixture.pool)
        #expect(try dead.claim(SHA256.hash("partial")) == .mine)
        fixture.advance(by: .seconds(40 * 3600))
        #expect(try await fixture.collect().swept.count == 0)
        #expect(try fixture.paths().contains { $0.hasSuffix(".part") })
        fixture.advance(by: .seconds(20 * 3600))
        #expect(try await fixture.collect().swept.count >= 1)
        #expect(try !fixture.paths().contains { $0.hasPrefix("tmp/") || $0.hasPrefix("leases/") })
        #expect(try !fixture.paths().contains { $0.hasPrefix("claims/") })
    }

    // MARK: - Invariant 6: doubt stops the collection

    /// Nothing of the store's own was renamed or removed: only the collector's staging, lease and claim.
    private func touched() -> [Call] {
        fixture.operations.calls.filter { call in
            [.unlink, .rename, .renameWithoutReplacing, .removeDirectory].contains(call.kind)
                && !["tmp/", "claims/", "leases/"].contains { call.path.hasPrefix($0) } && call.to != "trash/last.json"
        }
    }

    private func expectDoubt(_ comment: Comment? = nil, _ options: CollectionOptions = CollectionOptions()) async throws
    {
        let blobs = try fixture.blobs()
        do {
            _ = try await fixture.collect(options)
            Issue.record("it collected", sourceLocation: #_sourceLocation)
        } catch let error as SluiceError {
            #expect(!error.message.isEmpty, comment)
        }
        #expect(touched().isEmpty, comment)
        #expect(try fixture.blobs() == blobs, comment)
    }

    @Test(arguments: [EIO, ESTALE, EACCES, ENOENT])
    func `invariant 6: any error while roots are read stops a collection`(number: Int32) async throws {
        _ = try fixture.fill()
        let other = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "other")
        // Every read below refs/ and leases/, and every listing of them, one after the other.
        let kinds: Set<Call.Kind> = [.names, .open, .openDirectory]
        var place = 1
        while true {
            let seen = Locked(0)
            fixture.operations.spoil { [place] call, _ in
                guard kinds.contains(call.kind),
                    call.path.hasPrefix("refs/") || (call.path.hasPrefix("refs") && call.kind == .names)
                        || call.path == "leases" || call.path == "leases/\(other.id).json"
                else { return nil }
                // From there on: a name that is missing once is looked for again.
                return seen.withLock { seen in
                    seen += 1
                    return seen >= place ? .fail(number) : nil
                }
            }
            let report = try? await fixture.collect()
            if seen.withLock({ $0 }) < place { break }
            #expect(report == nil, "place \(place)")
            let moved = touched().filter { $0.path.hasPrefix("blobs/") }
            // The look after the renames finds blobs in the trash already, where nothing is lost.
            if !moved.isEmpty { #expect(try fixture.paths().count { $0.hasPrefix("trash/") } >= 2) }
            if moved.isEmpty { #expect(touched().isEmpty, "place \(place)") }
            fixture.operations.repair()
            for run in try TemporaryDirectory.names("\(fixture.path)/trash") where !run.hasSuffix(".json") {
                #expect(try TemporaryDirectory.names("\(fixture.path)/trash/\(run)") == [SHA256.hash("garbage").hex])
                _ = try ContentStore.open(fixture.path, fixture.context).open(SHA256.hash("garbage"))
            }
            place += 1
        }
        #expect(place > 10)
    }

    @Test func `invariant 6: a store that shows none or few of its manifests stops a collection`() async throws {
        let store = try fixture.fill()
        let writer = try StoreWriter(store, tool: "test")
        for number in 0..<4 { #expect(try writer.commit(manifest("m\(number)", "1", "kept")) == .committed) }
        try writer.end()
        fixture.advance(by: StoreFixture.grace)
        try await fixture.collect()
        try fixture.directory.makeDirectory("hidden".utf8)
        // Four of five manifests are away.
        for number in 0..<4 {
            rename("\(fixture.path)/refs/model/m\(number)", "\(fixture.directory.path)/hidden/m\(number)")
        }
        fixture.operations.repair()
        try await expectDoubt("short")
        rename("\(fixture.path)/refs/model/m", "\(fixture.directory.path)/hidden/m")
        fixture.operations.repair()
        try await expectDoubt("empty")
    }

    @Test func `invariant 6: no manifest at all stops a collection, the first one too`() async throws {
        _ = try fixture.fill()
        rename("\(fixture.path)/refs/model", "\(fixture.directory.path)/model")
        fixture.operations.repair()
        try await expectDoubt()
    }

    @Test(arguments: [
        ("refs/model/m/1.json", "{}"), ("refs/model/m/1.\(SHA256.hash("").hex).json", ""),
        ("refs/model/m/1.\(SHA256.hash("{}").hex).json", "{}"), ("refs/model/m/1.\(SHA256.hash("x").hex).json", "{}"),
        ("refs/model/m/stray", "x"), ("refs/model/m/UPPER.json", "x"), ("refs/model/file", "x"), ("refs/x", ""),
        ("leases/w.json", "{}"), ("leases/stray", ""), ("trash/last.json", "{}"),
    ])
    func `invariant 6: a record that cannot be trusted stops a collection`(path: String, text: String) async throws {
        _ = try fixture.fill()
        try fixture.write(path, text)
        fixture.operations.repair()
        try await expectDoubt("\(path)")
    }

    @Test(arguments: [-600, -301, 301, 600])
    func `invariant 6: clocks five minutes apart stop a collection, both are named`(seconds: Int) async throws {
        _ = try fixture.fill()
        fixture.time.advance(by: .seconds(seconds))
        fixture.operations.repair()
        let skew = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "x").clock.skew()
        do {
            _ = try await fixture.collect()
            Issue.record("it collected")
        } catch let error as SluiceError {
            #expect(error.message.contains(skew.server.description.prefix(13)))
            #expect(error.message.contains("this machine's says"))
        }
        #expect(touched().isEmpty)
    }

    @Test func `invariant 6: a required feature that is unknown stops a collection`() async throws {
        _ = try fixture.fill()
        let marker = try #require(try fixture.directory.read("store/sluice-store.json".utf8))
        let changed = String(decoding: marker, as: UTF8.self)
            .replacing(#""features_required":[]"#, with: #""features_required":["packs"]"#)
        try fixture.write("sluice-store.json", changed)
        fixture.operations.repair()
        await #expect(throws: SluiceError.self) { try await fixture.collect() }
        #expect(!fixture.operations.calls.contains { $0.kind.isMutation })
    }

    @Test func `invariant 6: four minutes of skew are no doubt`() async throws {
        _ = try fixture.fill()
        fixture.time.advance(by: .seconds(240))
        #expect(try await fixture.collect().condemned.count == 1)
    }
}
