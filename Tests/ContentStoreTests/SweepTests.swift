import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// Invariants 1, 2, 4 and 5 at every operation: the process ends there, it fails there, or its reply is lost there.
@Suite(.timeLimit(.minutes(30))) struct SweepTests {
    private static let reported = ["one", "two"]

    /// Publishes and commits; what it reports is noted.
    private func publish(_ fixture: StoreFixture, _ reported: Locked<[String]>) throws {
        let writer = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "test")
        let blobs = try SweepTests.reported.map { try writer.arrived($0, pool: fixture.pool) }
        for (text, outcome) in zip(SweepTests.reported, try writer.publish(blobs)) {
            if (try? outcome.get()) != nil { reported.withLock { $0.append(text) } }
        }
        let manifest = try manifest("m", "1", "one", "two")
        if case .committed = try writer.commit(manifest, branch: "main") {
            reported.withLock { $0.append("manifest") }
        }
        try writer.end()
    }

    /// What must hold whatever happened: a name is its content, what was reported is there, no manifest lacks a blob.
    private func check(_ fixture: StoreFixture, _ reported: [String], _ comment: Comment) throws {
        fixture.operations.repair()
        let store = try ContentStore.open(fixture.path, fixture.context)
        #expect(try fixture.mismatches().isEmpty, comment)
        #expect(try fixture.lost(store).isEmpty, comment)
        for text in reported where text != "manifest" {
            #expect(try store.open(SHA256.hash(text)) != nil, comment)
        }
        if reported.contains("manifest") {
            #expect(try store.tree(manifest("m").name) != nil, comment)
        }
    }

    /// The next process does it all again, and after the graces nothing is left over.
    private func recover(_ fixture: StoreFixture, _ comment: Comment) async throws {
        let reported = Locked<[String]>([])
        try publish(fixture, reported)
        #expect(reported.withLock { $0.sorted() } == ["manifest", "one", "two"], comment)
        fixture.advance(by: StoreFixture.grace)
        try await fixture.collect()
        fixture.advance(by: StoreFixture.grace)
        try await fixture.collect()
        try check(fixture, ["one", "two", "manifest"], comment)
        let left = try fixture.paths().filter { path in
            !["blobs/", "refs/", "heads/", "quarantine/"].contains { path.hasPrefix($0) }
        }
        #expect(left == ["sluice-store.json", "trash/last.json"], comment)
    }

    @Test func `invariant 1, invariant 2: the process ends at any operation of publish and commit`()
        async throws
    {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            _ = try fixture.make()
            let reported = Locked<[String]>([])
            fixture.operations.spoil { [step] _, count in count == step ? .stop : nil }
            try? publish(fixture, reported)
            guard fixture.operations.isStopped else { break }
            try check(fixture, reported.withLock { $0 }, "step \(step)")
            try await recover(fixture, "step \(step)")
            step += 1
        }
        #expect(step > 80, "\(step) operations")
    }

    @Test(arguments: [EIO, ENOSPC, ESTALE, EACCES, ENOENT, EEXIST, EINVAL])
    func `invariant 1, invariant 2: an error at any operation of publish and commit loses nothing`(number: Int32)
        async throws
    {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            _ = try fixture.make()
            let reported = Locked<[String]>([])
            fixture.operations.spoil { [step] _, count in count == step ? .fail(number) : nil }
            do {
                try publish(fixture, reported)
            } catch let error as SluiceError {
                #expect(error.object != nil, "step \(step): \(error)")
            }
            if fixture.operations.calls.count < step { break }
            try check(fixture, reported.withLock { $0 }, "step \(step)")
            try await recover(fixture, "step \(step)")
            step += 1
        }
        #expect(step > 80)
    }

    /// The replies as servers give them when they did the work before: EEXIST for what is made, ENOENT for what is
    /// moved away or removed.
    @Test func `invariant 4: a lost reply is no lie, whatever was done is found to be done`() async throws {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            _ = try fixture.make()
            let reported = Locked<[String]>([])
            fixture.operations.spoil { [step] call, count in
                guard count == step else { return nil }
                switch call.kind {
                case .create, .makeDirectory, .link: return .lose(EEXIST)
                case .rename, .renameWithoutReplacing, .unlink, .removeDirectory: return .lose(ENOENT)
                default: return nil
                }
            }
            try publish(fixture, reported)
            #expect(reported.withLock { $0 } == ["one", "two", "manifest"], "step \(step)")
            if fixture.operations.calls.count < step { break }
            // Nothing is left of the writer.
            #expect(try !fixture.paths().contains { $0.hasPrefix("tmp/") }, "step \(step)")
            try check(fixture, reported.withLock { $0 }, "step \(step)")
            step += 1
        }
        #expect(step > 80)
    }

    @Test(arguments: [EIO, ESTALE, ETIMEDOUT])
    func `invariant 4: a link or rename that fails and happened is a success`(number: Int32) throws {
        for kind in [Call.Kind.link, .rename] {
            let fixture = try StoreFixture()
            _ = try fixture.make()
            let reported = Locked<[String]>([])
            fixture.operations.spoil { call, _ in call.kind == kind ? .lose(number) : nil }
            try publish(fixture, reported)
            #expect(reported.withLock { $0 } == ["one", "two", "manifest"])
            try check(fixture, reported.withLock { $0 }, "\(kind)")
        }
    }

    @Test func `invariant 4: a mount without links loses replies as well`() throws {
        let fixture = try StoreFixture()
        _ = try fixture.make()
        let reported = Locked<[String]>([])
        fixture.operations.spoil { call, _ in
            switch call.kind {
            case .link: .fail(EPERM)
            case .renameWithoutReplacing: .lose(ENOENT)
            default: nil
            }
        }
        try publish(fixture, reported)
        #expect(reported.withLock { $0 } == ["one", "two", "manifest"])
    }

    // MARK: - Collection

    @Test(arguments: [ScriptedOperations.stopped, EIO, ENOENT, ESTALE])
    func `invariant 5: a collection ends or fails at any operation`(number: Int32) async throws {
        var step = 1
        while true {
            let fixture = try StoreFixture()
            let store = try fixture.fill()
            // Both phases have work: one blob waits in the trash that a late manifest needs, one that nobody does.
            try await fixture.collect()
            let late = try StoreWriter(store, tool: "late")
            try late.put("more garbage", pool: fixture.pool)
            try late.publish(manifest("late", "1", "garbage"))
            try late.end()
            fixture.advance(by: StoreFixture.grace)
            let fault: ScriptedOperations.Fault = number == ScriptedOperations.stopped ? .stop : .fail(number)
            fixture.operations.spoil { [step] _, count in count == step ? fault : nil }
            _ = try? await fixture.collect()
            if fixture.operations.calls.count < step { break }
            fixture.operations.repair()
            #expect(try fixture.lost(store).isEmpty, "step \(step)")
            for _ in 0..<3 {
                fixture.advance(by: StoreFixture.grace)
                try await fixture.collect()
            }
            #expect(try fixture.lost(store).isEmpty, "step \(step)")
            #expect(try fixture.blobs().count == 2, "step \(step)")
            #expect(try !fixture.paths().contains { $0.hasPrefix("trash/") && $0 != "trash/last.json" }, "step \(step)")
            step += 1
        }
        #expect(step > 100)
    }
}
