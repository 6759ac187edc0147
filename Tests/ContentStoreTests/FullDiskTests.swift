import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

extension Call.Kind {
    /// Whether a full disk may refuse it.
    fileprivate var takesRoom: Bool {
        switch self {
        case .makeRoot, .create, .makeDirectory, .write, .reserve, .clone, .link, .renameWithoutReplacing, .rename,
            .sync, .flush:
            true
        default: false
        }
    }
}

/// Something that a process does in a store, with what it needs and what it is for.
private enum Job: String, CaseIterable, Sendable {
    case publish
    case remove
    case collect
    case scrub
    case heal
    case importCopy
    case importLink
    case initialise

    /// Runs it in a process of its own.
    func run(_ fixture: StoreFixture, _ comment: Comment) async throws {
        if self == .initialise {
            _ = try fixture.make()
            return
        }
        let store = try ContentStore.open(fixture.path, fixture.context)
        if self == .collect { return try await collect(store) }
        let writer = try StoreWriter(store, tool: "test")
        defer { try? writer.leave() }
        switch self {
        case .publish:
            let blobs = try ["one", "two"].map { try writer.arrived($0, pool: fixture.pool) }
            for outcome in try writer.publish(blobs) { _ = try outcome.get() }
            #expect(try writer.commit(manifest("m", "1", "one", "two"), branch: "main") == .committed)
        case .remove:
            _ = try writer.remove(from: manifest("many").name) { $0.path == ObjectKey("file-1") }
        case .scrub:
            let report = try await Scrubber(writer, StoreFixture.careful).run()
            #expect(report.findings.map(\.what) == [.corrupt], comment)
        case .heal:
            let mine = LocalPath(fixture.directory.bytes("mine".utf8))
            _ = try writer.heal(try store.missingBlobs(), from: .directory(mine), pool: fixture.pool)
        case .importCopy: try bring(fixture, writer, .copy)
        case .importLink: try bring(fixture, writer, .hardlink)
        case .collect, .initialise: break
        }
    }

    /// As the command does: without a lease where there is no room for one.
    private func collect(_ store: ContentStore) async throws {
        let writer: StoreWriter?
        do throws(SluiceError) {
            writer = try StoreWriter(store, tool: "gc")
        } catch {
            guard error.code == .noSpace else { throw error }
            writer = nil
        }
        defer { try? writer?.leave() }
        _ = try await (writer.map { Collector($0) } ?? Collector(withoutLease: store)).run()
    }

    private func bring(_ fixture: StoreFixture, _ writer: StoreWriter, _ mode: LinkMode) throws {
        var options = ImportOptions()
        options.modes = [mode]
        let importer = try BlobImporter(writer, options, pool: fixture.pool)
        let source = try DirectoryImport(LocalPath(fixture.directory.bytes("mine".utf8)), kind: "model", name: "taken")
        let failed = Locked<SluiceError?>(nil)
        _ = try source.run(importer) { (file) throws(SluiceError) in
            if case .failure(let error) = file.outcome { failed.withLock { $0 = error } }
        } body: { (revision) throws(SluiceError) in
            let name = try RevisionName(kind: "model", name: "taken", revision: "1")
            guard try writer.commit(Manifest(name, revision.files)) == .committed else {
                throw SluiceError(.notFound, "blobs are missing")
            }
        }
        if let error = failed.withLock({ $0 }) { throw error }
    }

    /// A store with a tree that was reported, and what the job is about.
    func prepare(_ fixture: StoreFixture) throws {
        guard self != .initialise else { return }
        let store = try fixture.make()
        let writer = try StoreWriter(store, tool: "test")
        try writer.put("kept", "also kept", "condemned", "condemned and needed", pool: fixture.pool)
        #expect(try writer.commit(manifest("many", "1", "kept", "also kept")) == .committed)
        try fixture.directory.write("mine/a", Array("from elsewhere".utf8))
        try fixture.directory.write("mine/b", Array("also kept".utf8))
        switch self {
        case .scrub: try fixture.flip(StoreFixture.blobPath("condemned"), bit: 1)
        case .heal:
            _ = fixture.directory.bytes("store/\(StoreFixture.blobPath("also kept"))".utf8).withCPath { unlink($0) }
        default: break
        }
        try writer.end()
    }

    /// Ages a store for a collection in which both phases have work.
    func age(_ fixture: StoreFixture) async throws {
        guard self == .collect else { return }
        fixture.advance(by: StoreFixture.grace)
        try await fixture.collect()
        let late = try StoreWriter(ContentStore.open(fixture.path, fixture.context), tool: "late")
        try late.put("more garbage", pool: fixture.pool)
        try late.publish(manifest("late", "1", "condemned and needed"))
        try late.end()
        fixture.advance(by: StoreFixture.grace)
    }

    /// What is true although the disk is full.
    func check(_ fixture: StoreFixture, _ comment: Comment) throws {
        guard let store = try? ContentStore.open(fixture.path, fixture.context) else {
            #expect(self == .initialise, comment)
            return
        }
        let rotten = self == .scrub ? [StoreFixture.blobPath("condemned")] : []
        #expect(try Set(fixture.mismatches()).isSubset(of: rotten), comment)
        let lost = try fixture.lost(store)
        #expect(self == .heal ? lost.count <= 1 : lost.isEmpty, comment)
        if self != .initialise, self != .remove {
            #expect(try store.tree(manifest("many").name)?.files.count == 2, comment)
        }
        let left = try fixture.paths().filter { path in
            ["tmp/", "leases/", "claims/"].contains { path.hasPrefix($0) }
        }
        // What was staged for a transfer is what the next run goes on from; its lease stays with it.
        let isOfUse = self == .publish && left.contains { $0.hasSuffix(".part") }
        #expect(isOfUse ? left.allSatisfy { $0.hasSuffix(".part") || $0.hasPrefix("leases/") } : left.isEmpty, comment)
        if self == .collect {
            // What takes no room is done whatever else is refused.
            let old = SHA256.hash("condemned").hex
            #expect(try !fixture.paths().contains { $0.hasSuffix(old) }, comment)
        }
        if self == .importLink, try store.tree(manifest("taken").name) == nil {
            let mode = try FileStatus(fixture.directory.bytes("mine/a".utf8)).permissions
            let isBlob = try fixture.blobs().contains(StoreFixture.blobPath("from elsewhere"))
            #expect(isBlob || mode & 0o200 != 0, comment)
        }
    }

    /// What is true after it came to its end.
    func checkDone(_ fixture: StoreFixture, _ comment: Comment) throws {
        try check(fixture, comment)
        let store = try ContentStore.open(fixture.path, fixture.context)
        let blobs = try fixture.blobs()
        switch self {
        case .publish: #expect(try store.head("main", kind: "model", name: "m") != nil, comment)
        case .remove: #expect(try store.tree(manifest("many").name)?.files.count == 1, comment)
        case .collect: #expect(blobs.count == 3, comment)
        case .scrub: #expect(try fixture.quarantine().count == 1 && fixture.mismatches().isEmpty, comment)
        case .heal: #expect(try fixture.lost(store).isEmpty, comment)
        case .importCopy, .importLink: #expect(try store.tree(manifest("taken").name)?.files.count == 2, comment)
        case .initialise: break
        }
    }
}

/// Acceptance 11: a full disk at every step loses nothing and says what is missing.
@Suite(.timeLimit(.minutes(10))) struct FullDiskTests {
    /// The disk is full for one call, or from then on.
    @Test(arguments: Job.allCases, [true, false])
    private func `nothing is lost, nothing is left over, and the next run comes to its end`(job: Job, stays: Bool)
        async throws
    {
        let clean = try StoreFixture()
        try await begin(job, clean)
        try await job.run(clean, "without a fault")
        let steps = clean.operations.calls.enumerated().filter { $0.element.kind.takesRoom }.map { $0.offset + 1 }
        try job.checkDone(clean, "without a fault")
        #expect(steps.count > 5)
        for step in steps {
            let comment: Comment = "\(job) at \(step)"
            let fixture = try StoreFixture()
            try await begin(job, fixture)
            fixture.operations.spoil { call, count in
                call.kind.takesRoom && (stays ? count >= step : count == step) ? .fail(ENOSPC) : nil
            }
            var isDone = false
            do {
                try await job.run(fixture, comment)
                isDone = true
                // One refusal can be got over: the clock, the lease of a collection, a lock. A full disk cannot.
                #expect(!stays || job == .collect, comment)
            } catch let error as SluiceError {
                #expect(error.code == .noSpace && error.object != nil && error.remedy != nil, "\(comment): \(error)")
                #expect(error.message.contains(" free"), "\(comment): \(error)")
            }
            fixture.operations.repair()
            try job.check(fixture, comment)
            if !isDone { try await job.run(fixture, "\(comment), again") }
            try job.checkDone(fixture, comment)
        }
    }

    private func begin(_ job: Job, _ fixture: StoreFixture) async throws {
        try job.prepare(fixture)
        try await job.age(fixture)
        fixture.operations.repair()
    }
}
