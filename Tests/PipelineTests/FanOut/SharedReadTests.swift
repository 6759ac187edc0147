import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite("SharedRead", .timeLimit(.minutes(10))) struct SharedReadTests {
    /// Transfers of one source to several sinks, side by side.
    private struct Group: Sendable {
        let time = ManualTime()
        let resources: PipelineResources
        var limits = TransferLimits(connections: 4)
        var expectedSHA256: String?
        /// As a listing told it.
        var listedSize: UInt64?
        var journals: [MemoryJournal] = []

        init(memory: ByteCount = .mebibytes(64)) {
            resources = PipelineResources(memory: memory, time: time, jitter: { 0.5 })
        }

        func runner(
            _ source: FakeSource,
            _ sink: FakeSink,
            _ index: Int,
            _ shared: SharedRead?,
            drain: Drain = Drain()
        ) -> TransferRunner {
            TransferRunner(
                claim: ClaimedTransfer(
                    id: TransferID(Int64(index)),
                    job: JobID(1),
                    request: TransferRequest(
                        source: source.location,
                        target: sink.target("\(index)").location,
                        expectedSHA256: expectedSHA256,
                        host: source.host,
                        size: listedSize
                    ),
                    fence: 1,
                    attempts: 0,
                    priority: 0
                ),
                source: source,
                target: sink.target("\(index)"),
                journal: index < journals.count ? journals[index] : MemoryJournal(),
                resources: resources,
                limits: limits,
                drain: drain,
                member: shared?.member(index, source)
            )
        }

        /// Runs all, and tells how each ended.
        func run(_ source: FakeSource, _ sinks: [FakeSink]) async -> [Result<TransferOutcome, any Error>] {
            let shared = SharedRead(members: sinks.count, resources: resources, hasDigest: expectedSHA256 != nil)
            return await withTaskGroup(of: (Int, Result<TransferOutcome, any Error>).self) { group in
                for (index, sink) in sinks.enumerated() {
                    group.addTask(executorPreference: BlockingExecutor.shared) {
                        defer { shared.leave(index) }
                        do {
                            return (index, .success(try await runner(source, sink, index, shared).run()))
                        } catch {
                            return (index, .failure(error))
                        }
                    }
                }
                var ends: [Int: Result<TransferOutcome, any Error>] = [:]
                for await (index, end) in group { ends[index] = end }
                return sinks.indices.compactMap { ends[$0] }
            }
        }

        /// Nothing of the runs may stay admitted, in use or open. Fetches that are cancelled end a little later.
        func expectNothingHeld(_ source: FakeSource) async {
            await until {
                resources.budget.usage.held == 0 && resources.pool.usage.live == 0 && source.liveStreams == 0
            }
        }
    }

    enum Reading: CaseIterable { case ranges, rangesFromOpen, sequential, unknownLength }

    private func source(
        _ bytes: [UInt8],
        _ reading: Reading = .rangesFromOpen,
        published: Bool = false,
        _ change: (inout FakeSource.Script) -> Void = { _ in }
    ) -> FakeSource {
        var script = FakeSource.Script()
        script.startsOnOpen = reading != .ranges
        script.hidesSize = reading == .unknownLength
        change(&script)
        return FakeSource(
            bytes,
            published: published,
            ranges: reading == .ranges || reading == .rangesFromOpen,
            script: script
        )
    }

    @Test(
        "Sinks of every shape get every byte of one read",
        arguments: Reading.allCases,
        [0, 1, mebibyte, mebibyte + 1, 9 * mebibyte + 7]
    )
    func goodPath(reading: Reading, count: Int) async throws {
        for published in [false, true] {
            let bytes = TestBytes.make(count)
            let source = source(bytes, reading, published: published)
            let sinks = [FakeSink(.parts), FakeSink(.positioned), FakeSink(.ordered, part: 2 << 20)]
            let group = Group()
            for (index, end) in await group.run(source, sinks).enumerated() {
                let outcome = try end.get()
                #expect(sinks[index].object("\(index)") == bytes)
                #expect(outcome.sha256 == TestBytes.sha256(bytes) && outcome.moved == UInt64(count))
                #expect(outcome.proof == (published ? .published : .transport))
            }
            #expect(source.bytesYielded == UInt64(count) && source.opens == 1)
            await group.expectNothingHeld(source)
        }
    }

    @Test("Two places of one sink with one published digest are fed side by side")
    func sameDigest() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let source = source(bytes, published: true)
        let sink = FakeSink(.positioned)
        for end in await Group().run(source, [sink, sink]) { #expect(try end.get().proof == .published) }
        #expect(sink.object("0") == bytes && sink.object("1") == bytes && source.bytesYielded == UInt64(bytes.count))
    }

    @Test("A sink that fails half way fails alone", arguments: [Reading.rangesFromOpen, .sequential])
    func oneFails(reading: Reading) async throws {
        let bytes = TestBytes.make(12 * mebibyte)
        let source = source(bytes, reading)
        let bad = FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20)) { part in
            if part == 6 { throw SluiceError(.noSpace, "full", retry: .park) }
        }
        let sinks = [FakeSink(.positioned), bad, FakeSink(.parts)]
        let group = Group()
        let ends = await group.run(source, sinks)
        #expect(throws: SluiceError.self) { try ends[1].get() }
        for index in [0, 2] {
            _ = try ends[index].get()
            #expect(sinks[index].object("\(index)") == bytes)
        }
        #expect(source.bytesYielded == UInt64(bytes.count), "the others go on with the same read")
        await group.expectNothingHeld(source)
    }

    @Test("A slow sink paces the others, and what is kept stays within the budget", arguments: Reading.allCases)
    func pace(reading: Reading) async throws {
        let bytes = TestBytes.make(40 * mebibyte)
        let source = source(bytes, reading)
        let latch = Latch()
        let slow = FakeSink(SinkCapabilities(shape: .positioned)) { _ in await latch.wait() }
        let fast = FakeSink(.parts)
        let group = Group(memory: .mebibytes(64))
        let run = Task { await group.run(source, [slow, fast]) }
        let memory = FanOutMemory(total: .mebibytes(64))
        await until { fast.writes.count >= 2 }
        for _ in 0..<2000 { await Task.yield() }
        let ahead = source.bytesYielded
        #expect(ahead <= memory.kept(of: nil) && ahead < UInt64(bytes.count), "\(ahead)")
        latch.open()
        for end in await run.value { _ = try end.get() }
        #expect(source.bytesYielded == UInt64(bytes.count))
        #expect(group.resources.budget.usage.peak <= 64 << 20)
        await group.expectNothingHeld(source)
    }

    @Test("No budget is too small to go on with", arguments: [0, 1, 4, 16, 24])
    func smallBudgets(memory: UInt64) async throws {
        let bytes = TestBytes.make(11 * mebibyte + 5)
        for reading in Reading.allCases {
            let source = source(bytes, reading)
            let sinks = [FakeSink(.positioned), FakeSink(.parts, part: 4 << 20), FakeSink(.parts)]
            let group = Group(memory: .mebibytes(memory))
            // Two reads at once, so that each may wait for memory that the other one has.
            async let other = group.run(source, sinks.map { _ in FakeSink(.parts) })
            for end in await group.run(source, sinks) + other { _ = try end.get() }
            #expect(source.bytesYielded == 2 * UInt64(bytes.count))
            await group.expectNothingHeld(source)
        }
    }

    @Test("However many small objects are read at once, each is asked for once", arguments: [true, false])
    func smallOnes(isListed: Bool) async throws {
        let bytes = TestBytes.make(30_000)
        // Nobody gets bytes, and gives memory back, before all have looked that may.
        let latch = Latch()
        let source = source(bytes) { $0.beforeChunk = { _, _ in await latch.wait() } }
        var group = Group()
        group.listedSize = isListed ? UInt64(bytes.count) : nil
        let run = Task { [group] in
            await withTaskGroup(of: [Result<TransferOutcome, any Error>].self) { reads in
                for _ in 0..<12 {
                    reads.addTask { await group.run(source, [FakeSink(.positioned), FakeSink(.positioned)]) }
                }
                return await reads.reduce(into: []) { $0 += $1 }
            }
        }
        await until { group.resources.budget.waiting > 0 }
        latch.open()
        for end in await run.value { _ = try end.get() }
        #expect(source.opens == 12 && source.reads.count == 12)
        await group.expectNothingHeld(source)
    }

    @Test(
        "What earlier runs brought is not fetched again, for whoever lacks more",
        arguments: [[0, 4], [12, 4], [4, 0]]
    )
    func resumed(kept: [UInt64]) async throws {
        let bytes = TestBytes.make(16 * mebibyte)
        var group = Group()
        group.limits = TransferLimits(connections: 1)
        group.journals = [MemoryJournal(), MemoryJournal()]
        let isFull = Locked(true)
        let sinks = kept.map { kept in
            FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20)) { part in
                if part >= kept, isFull.withLock({ $0 }) { throw SluiceError(.noSpace, "full", retry: .park) }
            }
        }
        for (index, sink) in sinks.enumerated() {
            let runner = group.runner(self.source(bytes), sink, index, nil)
            await #expect(throws: SluiceError.self) {
                _ = try await withTaskExecutorPreference(BlockingExecutor.shared) { try await runner.run() }
            }
        }
        isFull.withLock { $0 = false }
        let rest = self.source(bytes)
        for (index, end) in await group.run(rest, sinks).enumerated() {
            #expect(try end.get().moved == UInt64(bytes.count) - kept[index] << 20)
            #expect(sinks[index].object("\(index)") == bytes)
        }
        #expect(rest.bytesYielded == UInt64(bytes.count) - (kept.min() ?? 0) << 20)
        await group.expectNothingHeld(rest)
    }

    @Test("A read that breaks off is taken up where it broke off, for all")
    func brokenRead() async throws {
        let bytes = TestBytes.make(5 * mebibyte)
        let source = source(bytes, .ranges) { script in
            script.breaks[2] = (1000, SluiceError(.network, "reset", retry: .immediately))
        }
        let sinks = [FakeSink(.positioned), FakeSink(.parts)]
        let group = Group(memory: .mebibytes(16))
        for (index, end) in await group.run(source, sinks).enumerated() {
            _ = try end.get()
            #expect(sinks[index].object("\(index)") == bytes)
        }
        #expect(source.bytesYielded == UInt64(bytes.count))
    }

    @Test("A member that is cancelled keeps nobody, even the one that began the look")
    func cancelled() async throws {
        let bytes = TestBytes.make(8 * mebibyte)
        let group = Group()
        let latch = Latch()
        let source = source(bytes) { $0.beforeChunk = { _, _ in await latch.wait() } }
        let sinks = [FakeSink(.parts), FakeSink(.positioned)]
        let shared = SharedRead(members: 2, resources: group.resources, hasDigest: false)
        let runs = sinks.enumerated().map { index, sink in
            Task(executorPreference: BlockingExecutor.shared) {
                defer { shared.leave(index) }
                _ = try await group.runner(source, sink, index, shared).run()
            }
        }
        await until { source.opens == 1 && source.liveStreams > 0 }
        runs[0].cancel()
        await #expect(throws: CancellationError.self) { try await runs[0].value }
        latch.open()
        try await runs[1].value
        #expect(sinks[1].object("1") == bytes && source.bytesYielded == UInt64(bytes.count))
        await group.expectNothingHeld(source)
    }

    @Test("A sink that does not answer keeps the others for ten seconds, and then reads by itself")
    func latecomer() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let group = Group()
        let source = source(bytes)
        let sinks = [FakeSink(.parts), FakeSink(.positioned)]
        let shared = SharedRead(members: 2, resources: group.resources, hasDigest: false)
        let first = Task(executorPreference: BlockingExecutor.shared) {
            defer { shared.leave(0) }
            return try await group.runner(source, sinks[0], 0, shared).run()
        }
        await until { group.time.sleeperCount == 1 }
        #expect(source.opens == 0)
        group.time.advance(by: SharedRead.patience)
        _ = try await first.value
        #expect(source.bytesYielded == UInt64(bytes.count))
        _ = try await withTaskExecutorPreference(BlockingExecutor.shared) {
            defer { shared.leave(1) }
            return try await group.runner(source, sinks[1], 1, shared).run()
        }
        #expect(sinks.indices.allSatisfy { sinks[$0].object("\($0)") == bytes })
        await group.expectNothingHeld(source)
    }

    @Test("A demanded digest that the bytes do not have fails all, and nothing becomes visible")
    func wrongDigest() async throws {
        var group = Group()
        group.expectedSHA256 = TestBytes.sha256([1]).hex
        let sinks = [FakeSink(.positioned), FakeSink(.parts)]
        for end in await group.run(source(TestBytes.make(3 * mebibyte)), sinks) {
            let error = #expect(throws: SluiceError.self) { try end.get() }
            #expect(error?.code == .digestMismatch)
        }
        #expect(sinks.indices.allSatisfy { sinks[$0].object("\($0)") == nil })
    }
}
