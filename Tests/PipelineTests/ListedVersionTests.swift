import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite("What a listing told settles a transfer whose version the sink has noted", .timeLimit(.minutes(10)))
struct ListedVersionTests {
    private static let bytes = TestBytes.make(1000)
    private static let digest = TestBytes.sha256(bytes)
    private let sink = FakeSink(.positioned)
    private let source = FakeSource(ListedVersionTests.bytes, pin: .etag("\"v1\"", size: 1000))
    private let journal = MemoryJournal()
    private var request = TransferRequest(
        source: "https://fake/object",
        target: "https://sink/object",
        host: "https://fake",
        size: 1000,
        listed: ListedVersion(etag: "\"v1\"", modified: 7, at: 0)
    )
    private var recalled: Digest? = digest
    private var attempts = 0

    /// The outcome, and how often the source was looked at.
    private func run(
        holds: Bool = true,
        alternates: [FakeSource] = []
    ) async throws -> (outcome: TransferOutcome, looks: Int, target: NotingTarget) {
        let target = NotingTarget(sink: sink, recalled: recalled, holds: holds)
        let claim = ClaimedTransfer(
            id: TransferID(1),
            job: JobID(1),
            request: request,
            fence: 1,
            attempts: attempts,
            priority: 0
        )
        let runner = TransferRunner(
            claim: claim,
            source: source,
            alternates: alternates,
            target: target,
            journal: journal,
            resources: TransferFixture().resources,
            limits: TransferLimits(connections: 1, partSize: nil)
        )
        let outcome = try await withTaskExecutorPreference(BlockingExecutor.shared) { try await runner.run() }
        return (outcome, source.opens, target)
    }

    @Test("without a look")
    func settles() async throws {
        let (outcome, looks, target) = try await run()
        #expect(outcome.state == .done && outcome.sha256 == ListedVersionTests.digest && outcome.moved == 0)
        #expect(outcome.proof == .published)
        #expect(looks == 0 && source.reads.isEmpty)
        let plan = try #require(target.linked.withLock { $0 })
        #expect(plan.isRecalled && plan.origin == source.location)
        #expect(plan.info.pin == .etag("\"v1\"", size: 1000) && plan.info.modified == 7)
        #expect(plan.info.publishedSHA256 == ListedVersionTests.digest)
    }

    @Test("and one whose target has the same content is left as it is")
    func sameContent() async throws {
        sink.put(ListedVersionTests.bytes)
        let (outcome, looks, _) = try await run()
        #expect(outcome.state == .skipped && outcome.proof == .published && looks == 0)
    }

    @Test("but whatever else may decide goes by a look")
    func looks() async throws {
        let unknown: [(inout ListedVersionTests) -> Void] = [
            { $0.recalled = nil }, { $0.request.listed = nil }, { $0.request.size = nil }, { $0.attempts = 1 },
            { $0.request.expectedSHA256 = ListedVersionTests.digest.hex }, { $0.request.overwrite = .renew },
            { test in
                test.journal.put(
                    JournalSnapshot(
                        pin: .etag("\"v0\"", size: 1000),
                        partSize: 1 << 20,
                        size: 1000,
                        session: nil,
                        receipts: [],
                        digestState: nil,
                        digestOffset: 0,
                        hashedParts: [:],
                        committing: false
                    )
                )
            },
        ]
        for change in unknown {
            var test = ListedVersionTests()
            change(&test)
            #expect(try await test.run().looks == 1)
        }
        #expect(try await ListedVersionTests().run(alternates: [FakeSource(ListedVersionTests.bytes)]).looks == 1)
    }

    @Test("and one whose bytes went away since they were recalled is fetched")
    func goneSince() async throws {
        let (outcome, looks, _) = try await run(holds: false)
        #expect(outcome.state == .done && outcome.moved == 1000 && looks == 1)
        #expect(sink.object() == ListedVersionTests.bytes)
    }

    @Test("and something else at the target is neither replaced nor taken for it without a look")
    func somethingElse() async throws {
        sink.put(TestBytes.make(1000, seed: 2))
        await #expect(throws: SluiceError.self) { try await run() }
        #expect(source.opens == 1)
    }
}

/// A sink that has noted what a version was.
private struct NotingTarget: SinkTarget {
    let sink: FakeSink
    let recalled: Digest?
    /// Whether it still has the bytes.
    let holds: Bool
    let linked = Locked<WritePlan?>(nil)

    private var inner: FakeTarget { sink.target() }
    var location: String { inner.location }
    var host: String { inner.host }
    var knowsContent: Bool { true }
    var capabilities: SinkCapabilities {
        get async throws { try await inner.capabilities }
    }

    func existing() async throws -> StoredObject? {
        guard var stored = try await inner.existing() else { return nil }
        stored.recordedSHA256 = sink.object().map(TestBytes.sha256)
        return stored
    }

    func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? {
        stored.recordedSHA256 == digest
    }

    func recall(_ info: ObjectInfo) async -> Digest? { recalled }

    func link(_ plan: WritePlan, willWait: @Sendable () -> Void) async throws -> StoredObject? {
        guard holds, let digest = plan.expected else { return nil }
        linked.withLock { $0 = plan }
        return StoredObject(location: location, size: 1000, fingerprint: "1", recordedSHA256: digest)
    }

    func begin(_ plan: WritePlan) async throws -> any SinkSession { try await inner.begin(plan) }
}

@Suite("An entity tag that stands for one content")
struct ContentTagTests {
    private static let hash = "0123456789abcdefABCDEF0123456789"

    @Test(
        "looks like a hash of it, with or without a number of parts",
        arguments: [
            "\"\(hash)\"", "\"\(hash)-1\"", "\"\(hash)-10000\"", "\"\(hash)\(hash)\"",
        ]
    )
    func hashes(_ tag: String) {
        #expect(Pin.etag(tag, size: 1).contentTag == tag)
        #expect(Pin.version("v", etag: tag).contentTag == tag)
    }

    @Test(
        "is none of anything else",
        arguments: [
            "", "\"", "\"\"", "\"5f5e100-1388\"", "\"\(hash)-\"", "\"\(hash)-123456\"", "\"\(hash)-1-2\"",
            "\"\(hash)-x\"", "W/\"\(hash)\"", hash, "\"\(hash.dropLast())\"", "\"\(hash.dropLast())g\"",
            "\"\(hash)\(hash)\(hash)\(hash)0\"", "\"ｅ\(hash)\"",
        ]
    )
    func others(_ tag: String) {
        #expect(Pin.etag(tag, size: 1).contentTag == nil)
        #expect(Pin.weak(size: 1, modified: tag).contentTag == nil)
    }
}
