import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// Objects that are held whole before the sink is asked for anything.
@Suite(.timeLimit(.minutes(10))) struct WholeMoverTests {
    private func source(_ bytes: [UInt8], published: Bool = false, _ edit: (inout FakeSource.Script) -> Void = { _ in })
        -> FakeSource
    {
        var script = FakeSource.Script()
        script.startsOnOpen = true
        script.chunk = 1000
        edit(&script)
        return FakeSource(bytes, published: published, script: script)
    }

    @Test("One write of the journal and one request for a small file", arguments: [1, 4096, mebibyte])
    func oneIntent(count: Int) async throws {
        let bytes = TestBytes.make(count)
        let source = source(bytes)
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        let outcome = try await fixture.run(source, sink)
        #expect(sink.object() == bytes && outcome.sha256 == TestBytes.sha256(bytes))
        #expect(fixture.journal.calls == ["beginWhole"])
        #expect(source.reads.count == 1)
        fixture.expectNothingHeld(source)
    }

    @Test("What is larger, empty, or goes to another kind of sink takes the long way")
    func others() async throws {
        for (count, shape) in [(0, SinkCapabilities.Shape.positioned), (mebibyte + 1, .positioned), (4096, .parts)] {
            let fixture = TransferFixture()
            _ = try await fixture.run(source(TestBytes.make(count)), FakeSink(shape))
            #expect(fixture.journal.calls.contains("willCommit"), "\(count) \(shape)")
            #expect(!fixture.journal.calls.contains("beginWhole"), "\(count) \(shape)")
        }
    }

    @Test("Bytes of another digest never reach the sink")
    func mismatch() async {
        let source = source(TestBytes.make(4096))
        source.publish(TestBytes.sha256([1]))
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        #expect(await fixture.failure(source, sink)?.code == .digestMismatch)
        #expect(sink.object() == nil && sink.unfinished == 0 && sink.writes.isEmpty)
        #expect(fixture.journal.calls.isEmpty)
    }

    @Test("A first read that breaks is taken up where it broke off, in ranges", arguments: [false, true])
    func breaks(early: Bool) async throws {
        let bytes = TestBytes.make(500_000)
        let source = source(bytes) { script in
            if early {
                script.shortReads[1] = 100_000
            } else {
                script.breaks[1] = (100_000, SluiceError(.network, "reset", retry: .backoff))
            }
            script.breaks[2] = (200_000, SluiceError(.network, "reset", retry: .backoff))
        }
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(source.reads.last?.lower == 200_000)
        fixture.expectNothingHeld(source)
    }

    @Test("Where ranges cannot take it up, a broken read is left to a new run", arguments: [false, true])
    func breaksWithoutRanges(published: Bool) async {
        var script = FakeSource.Script()
        script.startsOnOpen = true
        script.breaks[1] = (1000, SluiceError(.network, "reset", retry: .backoff))
        let source = FakeSource(TestBytes.make(5000), published: published, ranges: false, script: script)
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        let failure = await fixture.failure(source, sink)
        #expect(failure?.code == .network && failure?.retry == .backoff)
        #expect(source.reads.count == 1, "a read of its own would be refused, and end the transfer for good")
        #expect(sink.object() == nil && sink.unfinished == 0)
        fixture.expectNothingHeld(source)
    }

    @Test("Bytes that come in many pieces hold one buffer, not one for each")
    func manyPieces() async throws {
        let bytes = TestBytes.make(30_000)
        let source = source(bytes) { $0.chunk = 100 }
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(fixture.resources.pool.usage.peak <= 4)
    }

    @Test("A failure before the intent is written leaves nothing", arguments: ["write", "beginWhole"])
    func failsEarly(step: String) async {
        let source = source(TestBytes.make(4096))
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        let error = SluiceError(.fileSystem, "no", retry: .never)
        if step == "write" { sink.faults.add(error, to: step) } else { fixture.journal.faults.add(error, to: step) }
        #expect(await fixture.failure(source, sink)?.code == .fileSystem)
        #expect(sink.object() == nil && sink.unfinished == 0)
        fixture.expectNothingHeld(source)
    }

    @Test("A version that changes after the last byte is seen before anything is written")
    func changes() async {
        let source = source(TestBytes.make(4096))
        source.faults.add(SluiceError(.sourceChanged, "another version", retry: .restart), to: "confirm")
        let sink = FakeSink(.positioned)
        #expect(await TransferFixture().failure(source, sink)?.code == .sourceChanged)
        #expect(sink.writes.isEmpty && sink.object() == nil)
    }
}
