import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// One budget for all buffers, and no configuration deadlocks it.
@Suite(.timeLimit(.minutes(10))) struct MemoryTests {
    @Test(
        "A budget smaller than a part, or of one part, moves everything",
        arguments: SinkCapabilities.Shape.all,
        [64 << 10, 2 << 20, 3 << 20, 5 << 20]
    )
    func smallBudgets(shape: SinkCapabilities.Shape, budget: Int) async throws {
        for ranges in [true, false] {
            let bytes = TestBytes.make(9 * mebibyte + 1)
            let source = FakeSource(bytes, published: true, ranges: ranges)
            let sink = FakeSink(shape)
            let fixture = TransferFixture(memory: ByteCount(UInt64(budget)))
            _ = try await fixture.run(source, sink)
            #expect(sink.object() == bytes)
            fixture.expectNothingHeld(source)
        }
    }

    @Test("Many transfers share a budget of one part", arguments: SinkCapabilities.Shape.all)
    func sharedBudget(shape: SinkCapabilities.Shape) async throws {
        let fixture = TransferFixture(memory: .mebibytes(2))
        let sink = FakeSink(shape)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                group.addTask {
                    let source = FakeSource(TestBytes.make(2 * mebibyte + index, seed: UInt64(index)))
                    let runner = fixture.runner(source, sink, name: "\(index)", journal: MemoryJournal())
                    _ = try await withTaskExecutorPreference(BlockingExecutor.shared) { try await runner.run() }
                }
            }
            try await group.waitForAll()
        }
        for index in 0..<8 {
            #expect(sink.object("\(index)") == TestBytes.make(2 * mebibyte + index, seed: UInt64(index)))
        }
        #expect(fixture.resources.budget.usage.held == 0)
        // The window of a first look, which is taken before the length is known: more than the whole, so alone.
        #expect(fixture.resources.budget.usage.peak <= 4 << 20)
    }

    @Test("What is admitted stays within the budget while a slow sink holds parts back")
    func admission() async throws {
        let bytes = TestBytes.make(12 * mebibyte)
        let source = FakeSource(bytes)
        let fixture = TransferFixture(memory: .mebibytes(6), connections: 8)
        let sink = FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20)) { _ in
            for _ in 0..<50 { await Task.yield() }
        }
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(fixture.resources.budget.usage.peak <= 6 << 20)
        fixture.expectNothingHeld(source)
    }

    @Test("An ordered sink gets its parts in order though they arrive in any")
    func orderedArrival() async throws {
        let bytes = TestBytes.make(6 * mebibyte)
        let later = Latch()
        var script = FakeSource.Script()
        script.beforeChunk = { _, offset in
            if offset == 0 { await later.wait() }
            if offset >= UInt64(3 * mebibyte) { later.open() }
        }
        let source = FakeSource(bytes, script: script)
        let sink = FakeSink(.ordered)
        let fixture = TransferFixture(memory: .mebibytes(32))
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(sink.writes.map(\.index) == Array(0..<6))
    }

    @Test(
        "An idle lane helps with the last part, and every byte still comes once",
        arguments: [
            SinkCapabilities.Shape.parts, .positioned,
        ]
    )
    func stealing(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(40 * mebibyte)
        let helped = Latch()
        var script = FakeSource.Script()
        script.chunk = 1 << 20
        script.beforeChunk = { read, offset in
            // The first lane stops in the middle until another read began behind it in the same part.
            if read == 1, offset == UInt64(2 * mebibyte) { await helped.wait() }
            if read > 1 { helped.open() }
        }
        let source = FakeSource(bytes, script: script)
        let sink = FakeSink(SinkCapabilities(shape: shape, preferredPart: 40 << 20))
        let fixture = TransferFixture(memory: .mebibytes(128), connections: 2)
        let outcome = try await fixture.run(source, sink)
        #expect(sink.object() == bytes && outcome.sha256 == TestBytes.sha256(bytes))
        #expect(source.reads.count > 1)
        #expect(source.bytesYielded <= UInt64(bytes.count + 3 * mebibyte), "at most a chunk at each cut, of three")
        fixture.expectNothingHeld(source)
    }
}
