import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

let mebibyte = 1 << 20

/// What one run of the main path needs, with clocks that never wait.
struct TransferFixture: Sendable {
    let time = ManualTime(advancesItself: true)
    let journal = MemoryJournal()
    let resources: PipelineResources
    var limits = TransferLimits(connections: 4, partSize: nil)
    var overwrite: OverwritePolicy
    var expectedSHA256: String?

    init(memory: ByteCount = .mebibytes(64), connections: Int = 4, overwrite: OverwritePolicy = .refuse) {
        self.overwrite = overwrite
        resources = PipelineResources(memory: memory, time: time, jitter: { 0.5 })
        limits.connections = connections
    }

    func runner(
        _ source: FakeSource,
        _ sink: FakeSink,
        name: String = "object",
        alternates: [FakeSource] = [],
        journal: MemoryJournal? = nil,
        drain: Drain = Drain()
    ) -> TransferRunner {
        let request = TransferRequest(
            source: source.location,
            target: sink.target(name).location,
            overwrite: overwrite,
            expectedSHA256: expectedSHA256,
            host: source.host
        )
        let claim = ClaimedTransfer(
            id: TransferID(1),
            job: JobID(1),
            request: request,
            fence: 1,
            attempts: 0,
            priority: 0
        )
        return TransferRunner(
            claim: claim,
            source: source,
            alternates: alternates,
            target: sink.target(name),
            journal: journal ?? self.journal,
            resources: resources,
            limits: limits,
            drain: drain
        )
    }

    /// Runs it on the program's own executor.
    func run(_ source: FakeSource, _ sink: FakeSink) async throws -> TransferOutcome {
        try await withTaskExecutorPreference(BlockingExecutor.shared) { try await runner(source, sink).run() }
    }

    /// Runs it and returns how it failed.
    func failure(_ source: FakeSource, _ sink: FakeSink) async -> SluiceError? {
        do {
            _ = try await run(source, sink)
            return nil
        } catch {
            return error as? SluiceError
        }
    }

    /// Nothing of a run may stay admitted, in use or open.
    func expectNothingHeld(_ source: FakeSource, location: SourceLocation = #_sourceLocation) {
        #expect(resources.budget.usage.held == 0, sourceLocation: location)
        #expect(resources.pool.usage.live == 0, sourceLocation: location)
        #expect(source.liveStreams == 0, sourceLocation: location)
    }
}

extension SinkCapabilities.Shape {
    static let all: [SinkCapabilities.Shape] = [.positioned, .parts, .ordered]
}
