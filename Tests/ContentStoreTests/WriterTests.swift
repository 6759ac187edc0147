import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

@Suite struct WriterTests {
    let fixture: StoreFixture
    let store: ContentStore

    init() throws {
        fixture = try StoreFixture()
        store = try fixture.make()
    }

    private func leases(_ writer: StoreWriter) throws -> [SeenLease] { try store.leases(at: writer.clock.now()) }

    // MARK: - Clock and lease

    @Test func `invariant 7: now is what the server stamps, not what this machine believes`() throws {
        let writer = try StoreWriter(store, tool: "test")
        fixture.operations.advance(by: .seconds(7200))
        let skew = try writer.clock.skew()
        #expect(skew.isTooLarge)
        #expect(skew.local.age(at: skew.server) > .seconds(7000))
        #expect(skew.description.contains("\(skew.server)") && skew.description.contains("\(skew.local)"))
        // What was only written may have this machine's time until it is written back.
        let stamped = fixture.operations.calls.split { $0.kind == .create }.last?.map(\.kind)
        #expect(stamped == [.write, .touch, .statusOfFile, .unlink])
        // Writers go on, and are told.
        _ = try StoreWriter(store, tool: "test")
        #expect(fixture.notices.withLock { $0.contains { if case .clockSkew = $0 { true } else { false } } })
    }

    @Test func `a lease says who writes and what it pins`() throws {
        let digest = SHA256.hash("x")
        let writer = try StoreWriter(store, pins: [digest], tool: "sluice 1.0")
        let seen = try leases(writer)
        #expect(seen.count == 1 && seen[0].isAlive)
        #expect(seen[0].lease.pins == [BlobKey(digest)] && seen[0].lease.tool == "sluice 1.0")
        #expect(seen[0].lease.process == Int(getpid()) && !seen[0].lease.boot.isEmpty)
        try writer.end()
        #expect(try fixture.paths() == ["sluice-store.json"])
    }

    @Test func `a heartbeat keeps the lease alive by the server's clock`() throws {
        let writer = try StoreWriter(store, tool: "test")
        for _ in 0..<8 {
            fixture.advance(by: .seconds(900))
            #expect(try writer.renew() == false)
        }
        #expect(try leases(writer)[0].isAlive)
        fixture.advance(by: .seconds(3700))
        #expect(try !leases(writer)[0].isAlive)
    }

    @Test func `a writer that slept longer than its lease is told, and has a new one`() throws {
        let writer = try StoreWriter(store, tool: "test")
        fixture.advance(by: .seconds(3700))
        #expect(try writer.renew())
        #expect(fixture.notices.withLock { $0.contains(.leaseLapsed) })
        #expect(try leases(writer)[0].isAlive)
    }

    @Test func `a writer whose lease was swept takes it anew`() throws {
        let writer = try StoreWriter(store, pins: [SHA256.hash("x")], tool: "test")
        let path = try #require(try fixture.paths().first { $0.hasPrefix("leases/") })
        _ = fixture.directory.bytes("store/\(path)".utf8).withCPath { unlink($0) }
        #expect(try writer.renew())
        #expect(try leases(writer)[0].lease.pins.count == 1)
    }

    @Test(arguments: [
        "", "{", "null", "[1]", #"{"version":9}"#,
        #"{"boot":"","host":"","pid":1,"pins":["zz"],"tool":"","ttl_seconds":60,"version":1,"writer":"w"}"#,
        #"{"boot":"","host":"","pid":1,"pins":[],"tool":"","ttl_seconds":-1,"version":1,"writer":"w"}"#,
        #"{"boot":"","host":"","pid":1,"pins":[],"tool":"","ttl_seconds":9e18,"version":1,"writer":"w"}"#,
        #"{"boot":"","host":"","pid":1,"pins":[],"tool":"","ttl_seconds":60,"version":1,"writer":"v"}"#,
    ])
    func `a lease that cannot be trusted is an error`(text: String) throws {
        let writer = try StoreWriter(store, tool: "test")
        try fixture.write("leases/w.json", text)
        let error = try failure { _ = try leases(writer) }
        #expect(error.code == .badAnswer || error.code == .unsupported)
        #expect(error.object?.hasSuffix("leases/w.json") == true)
    }

    @Test func `a name that is listed and cannot be opened is doubt, one that went away is not`() throws {
        let writer = try StoreWriter(store, tool: "test")
        let other = try StoreWriter(store, tool: "test")
        fixture.operations.spoil { call, _ in
            call.kind == .open && call.path.hasPrefix("leases/\(other.id)") ? .fail(ENOENT) : nil
        }
        #expect(try failure { _ = try leases(writer) }.code == .unconfirmed)
        fixture.operations.repair()
        try other.end()
        #expect(try leases(writer).count == 1)
    }

    // MARK: - Whether a writer's process is over

    private func lease(of process: pid_t, boot: String? = nil) throws -> Lease {
        let mine = Lease.ofThisProcess(StoreName("w"), tool: "test", timeToLive: .seconds(3600), pins: [])
        return Lease(
            writer: mine.writer,
            host: mine.host,
            boot: boot ?? mine.boot,
            process: Int(process),
            tool: mine.tool,
            timeToLive: mine.timeToLive,
            pins: []
        )
    }

    /// A process that sleeps, under a name of the test's choice.
    private func sleeper(named name: String) throws -> pid_t {
        let path = fixture.directory.bytes(name.utf8)
        try fixture.directory.link(name, to: "/bin/sleep")
        var id: pid_t = 0
        let spawned = path.withCPath { path in
            var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(path), strdup("100"), nil]
            defer { for argument in arguments { free(argument) } }
            return posix_spawn(&id, path, nil, nil, &arguments, nil)
        }
        #expect(spawned == 0)
        return id
    }

    /// proc(5) has the name in parentheses before the state: one that looks like a state is none.
    @Test(arguments: ["sleep", "a) Z (b", ") Z 1 (", "Z"])
    func `a process is over once it is dead, also before its parent has asked for it`(name: String) async throws {
        let id = try sleeper(named: name)
        #expect(try !lease(of: id).isOver)
        kill(id, SIGSTOP)
        #expect(try !lease(of: id).isOver, "it only sleeps")
        kill(id, SIGKILL)
        // waitid(2) with WNOWAIT: "leave the child in a waitable state".
        var information = siginfo_t()
        #expect(waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) == 0)
        #expect(kill(id, 0) == 0, "its number is still taken")
        #expect(try lease(of: id).isOver)
        for boot in ["another", ""] { #expect(try !lease(of: id, boot: boot).isOver, "of others nothing is known") }
        #expect(waitpid(id, nil, 0) == id)
        #expect(try lease(of: id).isOver)
        #expect(try !lease(of: getpid()).isOver)
    }

    @Test func `a zombie's claim, partial and lease are void at once`() async throws {
        let digest = SHA256.hash("x")
        let dead = try StoreWriter(store, tool: "dead")
        #expect(try dead.claim(digest) == .mine)
        let partial = try dead.stage()
        try partial.write(chunk("half"), at: 0)
        let id = try sleeper(named: "sleep")
        // As if that process had written it.
        let path = try #require(try fixture.paths().first { $0.hasPrefix("leases/") })
        let text = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        try fixture.write(path, text.replacing("\"pid\":\(getpid())", with: "\"pid\":\(id)"))
        let other = try StoreWriter(store, tool: "other")
        #expect(try other.claim(digest) == .held(by: dead.id))
        #expect(try other.takeUp(partial.record) == nil)
        var options = CollectionOptions()
        options.isExclusive = true
        let collector = try StoreWriter(store, tool: "gc")
        try other.end()
        await #expect(throws: SluiceError.self) { try await Collector(collector, options).run() }
        kill(id, SIGKILL)
        var information = siginfo_t()
        #expect(waitid(P_PID, id_t(id), &information, WEXITED | WNOWAIT) == 0)
        #expect(try collector.claim(digest) == .mine)
        #expect(try collector.takeUp(partial.record) != nil)
        _ = try await Collector(collector, options).run()
        #expect(waitpid(id, nil, 0) == id)
    }

    @Test func `several transfers of a writer ask for the time and take partials up at once`() async throws {
        let dead = try StoreWriter(store, tool: "dead")
        let partials = try (0..<32).map { _ in try dead.stage() }
        let path = "leases/\(dead.id).json"
        let lease = String(decoding: try #require(try fixture.directory.read("store/\(path)".utf8)), as: UTF8.self)
        // No process has a number beyond the kernel's limit (PID_MAX_LIMIT, 4,194,304).
        try fixture.write(path, lease.replacing("\"pid\":\(getpid())", with: "\"pid\":4194305"))
        let writer = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "test")
        let taken = try await withThrowingTaskGroup(of: Bool.self) { group in
            for partial in partials {
                group.addTask(executorPreference: BlockingExecutor.shared) {
                    for _ in 0..<100 { _ = try writer.clock.now() }
                    return try writer.takeUp(partial.record) != nil
                }
            }
            return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(taken == partials.count)
    }

    // MARK: - Claims

    @Test func `invariant 7: one live writer brings a blob, and a dead one's claim is taken over`() throws {
        let digest = SHA256.hash("x")
        let first = try StoreWriter(store, tool: "first")
        let second = try StoreWriter(store, tool: "second")
        #expect(try first.claim(digest) == .mine)
        #expect(try first.claim(digest) == .mine)
        #expect(try second.claim(digest) == .held(by: first.id))
        try second.release(digest)
        #expect(try second.claim(digest) == .held(by: first.id))
        fixture.advance(by: .seconds(3700))
        try second.renew()
        #expect(try second.claim(digest) == .mine)
        try first.release(digest)
        #expect(try fixture.paths().contains("claims/\(digest.hex)"))
        try second.release(digest)
        #expect(try !fixture.paths().contains("claims/\(digest.hex)"))
    }

    @Test(arguments: ["", "{}", #"{"version":1,"writer":"../../etc"}"#, #"{"version":1,"writer":"nobody"}"#])
    func `invariant 7: a claim that nobody alive stands behind stops no one`(text: String) throws {
        let digest = SHA256.hash("x")
        try fixture.write("claims/\(digest.hex)", text)
        #expect(try StoreWriter(store, tool: "test").claim(digest) == .mine)
    }

    // MARK: - Adoption

    @Test func `invariant 1: a dead writer's partial is adopted by one, with its hash`() throws {
        let digest = SHA256.hash("first half, second half")
        let dead = try StoreWriter(store, tool: "dead")
        let partial = try dead.stage(for: digest)
        try partial.write(chunk("first half, "), at: 0)
        let living = try [StoreWriter(store, tool: "a"), StoreWriter(store, tool: "b")]
        #expect(try living[0].adopt(digest, pool: fixture.pool) == nil, "its writer is alive")
        fixture.advance(by: .seconds(3700))
        for writer in living { try writer.renew() }
        let adopted = try #require(try living[0].adopt(digest, pool: fixture.pool))
        #expect(try living[1].adopt(digest, pool: fixture.pool) == nil)
        #expect(adopted.hash.count == 12)
        var hash = adopted.hash
        hash.update(chunk("second half"))
        try adopted.staged.write(chunk("second half"), at: 12)
        let blob = ArrivedBlob(adopted.staged, digest: hash.finalized(), size: ByteCount(23), origin: "x")
        // The sleeper wakes with its file open, and writes on after the proof.
        try partial.write(chunk("XXXXXXXXXXXXXXXXXXXXXXX"), at: 0)
        #expect(try living[0].publish([blob]).map { try $0.get() } == [.published])
        try partial.write(chunk("YYYYYYYYYYYYYYYYYYYYYYY"), at: 0)
        #expect(try fixture.mismatches().isEmpty && fixture.blobs().count == 1)
        #expect(blob.digest == digest)
    }

    private func chunk(_ text: String) -> Chunk { Chunk.chunks(of: Array(text.utf8), from: fixture.pool)[0] }

    @Test(arguments: [Call.Kind.statusOfFile, .read], [true, false])
    func `a lease that another host gives back while it is read is looked for again`(kind: Call.Kind, isGone: Bool)
        throws
    {
        let writer = try StoreWriter(ContentStore.open(fixture.path, fixture.healthy), tool: "test")
        let now = try writer.clock.now()
        let reads = Locked<[Call]>([])
        fixture.operations.spoil { call, _ in
            guard call.kind == kind, reads.withLock({ $0.isEmpty }) else { return nil }
            reads.withLock { $0.append(call) }
            if isGone { try? writer.end() }
            return .fail(ESTALE)
        }
        #expect(try store.leases(at: now).map(\.lease.writer) == (isGone ? [] : [writer.id]))
        #expect(reads.withLock { $0.count } == 1)
        // One that stays stale is no lease that is gone.
        fixture.operations.spoil { call, _ in call.kind == .open ? .fail(ESTALE) : nil }
        guard !isGone else { return }
        #expect(throws: SluiceError.self) { try store.leases(at: now) }
    }
}
