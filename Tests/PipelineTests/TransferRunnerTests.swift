import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite(.timeLimit(.minutes(10))) struct TransferRunnerTests {
    enum Reading: CaseIterable { case ranges, rangesFromOpen, sequential, unknownLength }

    private func source(_ bytes: [UInt8], _ reading: Reading, published: Bool) -> FakeSource {
        var script = FakeSource.Script()
        script.startsOnOpen = reading != .ranges
        script.hidesSize = reading == .unknownLength
        return FakeSource(
            bytes,
            published: published,
            ranges: reading == .ranges || reading == .rangesFromOpen,
            script: script
        )
    }

    @Test(
        "Every shape takes objects of every length, however they are read",
        arguments: SinkCapabilities.Shape.all,
        [0, 1, mebibyte - 1, mebibyte, mebibyte + 1, 4 * mebibyte, 5 * mebibyte + 7]
    )
    func goodPath(shape: SinkCapabilities.Shape, count: Int) async throws {
        for reading in Reading.allCases {
            let bytes = TestBytes.make(count)
            let source = source(bytes, reading, published: reading != .sequential)
            let sink = FakeSink(shape)
            let fixture = TransferFixture()
            let outcome = try await fixture.run(source, sink)
            #expect(sink.object() == bytes, "\(reading)")
            #expect(outcome.sha256 == TestBytes.sha256(bytes))
            #expect(outcome.proof == (reading == .sequential ? .transport : .published))
            #expect(outcome.size == UInt64(count))
            #expect(outcome.moved == UInt64(count), "\(reading): the first read counts too")
            #expect(source.bytesYielded == UInt64(count))
            #expect(sink.commits == 1 && sink.unfinished == 0)
            fixture.expectNothingHeld(source)
        }
    }

    @Test("The first look reads ahead one part of the size that the transfer will have")
    func readsAheadOnePart() async throws {
        var script = FakeSource.Script()
        script.startsOnOpen = true
        let source = FakeSource(TestBytes.make(5 * mebibyte), script: script)
        var fixture = TransferFixture()
        fixture.limits.partSize = 1 << 20
        _ = try await fixture.run(source, FakeSink(SinkCapabilities(shape: .positioned, preferredPart: 4 << 20)))
        #expect(source.reads.first == ByteRange(0, 1 << 20))
    }

    @Test(
        "Told to stop, it saves the parts in flight and begins no other",
        arguments: [SinkCapabilities.Shape.parts, .positioned]
    )
    func drains(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(8 * mebibyte)
        let drain = Drain()
        var script = FakeSource.Script()
        script.beforeChunk = { _, offset in if offset > 0 { #expect(drain.request()) } }
        let sink = FakeSink(SinkCapabilities(shape: shape, preferredPart: 1 << 20))
        let fixture = TransferFixture(connections: 2)
        let stopped = FakeSource(bytes, script: script)
        await #expect(throws: CancellationError.self) {
            try await withTaskExecutorPreference(BlockingExecutor.shared) {
                try await fixture.runner(stopped, sink, drain: drain).run()
            }
        }
        fixture.expectNothingHeld(stopped)
        let saved = try #require(try await fixture.journal.snapshot()).receipts.reduce(0) { $0 + $1.part.range.count }
        #expect(saved > 0 && saved == stopped.bytesYielded, "what came was saved to the last byte")
        let next = FakeSource(bytes)
        _ = try await fixture.run(next, sink)
        #expect(sink.object() == bytes && saved + next.bytesYielded == UInt64(bytes.count))
    }

    @Test("Told to stop before it moves anything, it must be cancelled")
    func drainsNothing() async throws {
        let drain = Drain()
        #expect(!drain.request())
        let source = FakeSource(TestBytes.make(2 * mebibyte))
        await #expect(throws: CancellationError.self) {
            try await TransferFixture().runner(source, FakeSink(.parts), drain: drain).run()
        }
        #expect(source.bytesYielded == 0)
    }

    @Test("Digests of the whole that a sink wants are computed in the same pass", arguments: [true, false])
    func extraDigests(ranges: Bool) async throws {
        let bytes = TestBytes.make(3 * mebibyte + 5)
        let sink = FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20, objectDigests: [.md5, .crc64nvme]))
        let source = FakeSource(bytes, ranges: ranges)
        _ = try await TransferFixture().run(source, sink)
        #expect(sink.object() == bytes)
    }

    @Test(
        "Git's name of the content proves it where no SHA-256 is published, and refuses any other",
        arguments: SinkCapabilities.Shape.all,
        [0, 1000, 3 * mebibyte + 1]
    )
    func gitName(shape: SinkCapabilities.Shape, size: Int) async throws {
        let bytes = TestBytes.make(size)
        let name = RunningDigest(.gitSHA1, size: UInt64(size))
        bytes.withUnsafeBytes { name.update($0) }
        let published = name.finish()
        let source = FakeSource(bytes)
        source.publish(published)
        let sink = FakeSink(shape)
        let outcome = try await TransferFixture().run(source, sink)
        #expect(outcome.proof == .published)
        #expect(outcome.sha256 == TestBytes.sha256(bytes))
        #expect(sink.object() == bytes)

        let other = try #require(Digest(.gitSHA1, hex: String(repeating: "0", count: 40)))
        source.publish(other)
        let failure = await TransferFixture().failure(source, FakeSink(shape))
        #expect(failure?.code == .digestMismatch)
        #expect(failure?.message.contains(published.hex) == true && failure?.message.contains(other.hex) == true)
    }

    @Test("A read that ends early or breaks is taken up inside the part", arguments: SinkCapabilities.Shape.all)
    func resumesInsideAPart(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(6 * mebibyte + 11)
        var script = FakeSource.Script()
        script.chunk = 100_000
        script.breaks[1] = (300_000, SluiceError(.network, "reset", retry: .backoff))
        script.breaks[2] = (5, SluiceError(.network, "reset", retry: .immediately))
        script.shortReads[3] = 70_001
        script.shortReads[5] = 1
        let source = FakeSource(bytes, published: true, script: script)
        let sink = FakeSink(shape)
        let fixture = TransferFixture()
        let outcome = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(outcome.moved == UInt64(bytes.count), "no byte came twice")
        #expect(source.bytesYielded == UInt64(bytes.count))
        fixture.expectNothingHeld(source)
    }

    @Test("A link that breaks after every few bytes is not given up while it moves")
    func flakyButMoving() async throws {
        let bytes = TestBytes.make(mebibyte)
        var script = FakeSource.Script()
        for read in 1...60 { script.breaks[read] = (20_000, SluiceError(.network, "reset", retry: .backoff)) }
        let source = FakeSource(bytes, script: script)
        let sink = FakeSink(.parts)
        _ = try await TransferFixture(connections: 1).run(source, sink)
        #expect(sink.object() == bytes)
        #expect(source.bytesYielded == UInt64(bytes.count))
    }

    @Test("A read that never brings a byte is given up after the policy's patience")
    func patience() async {
        let source = FakeSource(TestBytes.make(100))
        source.faults.add(SluiceError(.network, "refused", retry: .backoff), to: "read", times: 100)
        let sink = FakeSink(.parts)
        let fixture = TransferFixture(connections: 1)
        let failure = await fixture.failure(source, sink)
        #expect(failure?.code == .network)
        #expect(sink.object() == nil && sink.unfinished == 1, "the session stays for the next run")
        #expect(fixture.time.slept.filter { $0 > .zero }.count == 9)
    }

    @Test("A source that changes in mid-transfer is an error, and nothing stays", arguments: SinkCapabilities.Shape.all)
    func sourceChanged(shape: SinkCapabilities.Shape) async {
        let box = Box<FakeSource>()
        var script = FakeSource.Script()
        script.beforeChunk = { read, _ in
            if read == 3 { box.value?.replace(with: TestBytes.make(9), pin: .etag("\"2\"", size: 9)) }
        }
        let source = FakeSource(TestBytes.make(5 * mebibyte), script: script)
        box.value = source
        let sink = FakeSink(shape)
        let fixture = TransferFixture()
        let failure = await fixture.failure(source, sink)
        #expect(failure?.code == .sourceChanged && failure?.retry == .restart)
        #expect(failure?.description.contains("\"1\"") == true && failure?.description.contains("\"2\"") == true)
        #expect(sink.object() == nil && sink.unfinished == 0)
        #expect(fixture.journal.saved == nil)
        fixture.expectNothingHeld(source)
    }

    @Test("A source that changes after the last byte is seen before the commit", arguments: [true, false])
    func changedAtTheEnd(ranges: Bool) async {
        let source = FakeSource(TestBytes.make(100), ranges: ranges)
        source.faults.add(SluiceError(.sourceChanged, "changed", retry: .restart), to: "confirm")
        let sink = FakeSink(.positioned)
        let fixture = TransferFixture()
        #expect(await fixture.failure(source, sink)?.code == .sourceChanged)
        #expect(sink.object() == nil && sink.unfinished == 0 && fixture.journal.saved == nil)
    }

    @Test(
        "A digest that does not match ends the transfer, and nothing stays",
        arguments: SinkCapabilities.Shape.all,
        [true, false]
    )
    func digestMismatch(shape: SinkCapabilities.Shape, ranges: Bool) async {
        let source = FakeSource(TestBytes.make(2 * mebibyte + 1), ranges: ranges)
        source.publish(TestBytes.sha256([1]))
        let sink = FakeSink(shape)
        let fixture = TransferFixture()
        let failure = await fixture.failure(source, sink)
        #expect(failure?.code == .digestMismatch && failure?.retry == .never)
        #expect(sink.object() == nil && sink.unfinished == 0 && sink.aborts == 1)
        #expect(fixture.journal.saved == nil)
        fixture.expectNothingHeld(source)
    }

    @Test("A body that is shorter or longer than announced is never committed", arguments: [-1, 1])
    func wrongLength(difference: Int) async {
        let bytes = TestBytes.make(1000)
        let source = FakeSource(bytes, ranges: false)
        let box = Box<FakeSource>()
        box.value = source
        // The announced length stays, the bytes differ.
        source.lie(TestBytes.make(1000 + difference))
        for shape in SinkCapabilities.Shape.all {
            let sink = FakeSink(shape)
            let fixture = TransferFixture()
            #expect(await fixture.failure(source, sink) != nil)
            #expect(sink.object() == nil && sink.unfinished == 0)
            fixture.expectNothingHeld(source)
        }
    }

    @Test("The server copies where it can, and no byte comes by", arguments: [0, 1, 3 * mebibyte + 1])
    func serverSideCopy(count: Int) async throws {
        let bytes = TestBytes.make(count)
        let source = FakeSource(bytes, published: true)
        let sink = FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20), copiesFrom: source)
        let outcome = try await TransferFixture().run(source, sink)
        #expect(sink.object() == bytes)
        #expect(outcome.moved == 0 && outcome.sha256 == nil && outcome.proof == .transport)
    }

    @Test(
        "A lane that fails for good ends the others, even those that wait for its bytes",
        arguments: [
            SinkCapabilities.Shape.parts, .ordered, .positioned,
        ]
    )
    func failingLane(shape: SinkCapabilities.Shape) async {
        let ahead = Latch()
        var script = FakeSource.Script()
        // The part at the frontier fails only when the others are whole and wait for its hash.
        script.beforeChunk = { _, offset in
            if offset >= 3 * UInt64(mebibyte) { ahead.open() }
            guard offset == 0 else { return }
            await ahead.wait()
            throw SluiceError(.notFound, "gone")
        }
        let source = FakeSource(TestBytes.make(4 * mebibyte), script: script)
        let sink = FakeSink(shape)
        let fixture = TransferFixture()
        #expect(await fixture.failure(source, sink) != nil)
        #expect(sink.object() == nil)
        fixture.expectNothingHeld(source)
    }

    @Test("A write that fails is the sink's failure: no byte is lost by it, and nothing waits for ever")
    func failingPositionedWrite() async throws {
        let bytes = TestBytes.make(2 * mebibyte)
        let source = FakeSource(bytes, published: true)
        let sink = FakeSink(.positioned)
        sink.faults.add(SluiceError(.fileSystem, object: "/disk", "stale handle", retry: .backoff), to: "write")
        let fixture = TransferFixture()
        let failure = await fixture.failure(source, sink)
        #expect(failure?.code == .fileSystem && failure?.object == "/disk")
        #expect(sink.object() == nil && sink.unfinished == 1)
        #expect(try await fixture.run(source, sink).state == .done)
        #expect(sink.object() == bytes)
        fixture.expectNothingHeld(source)
    }

    @Test("A part that fails at the sink is sent again", arguments: [SinkCapabilities.Shape.parts, .ordered])
    func retriedParts(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let source = FakeSource(bytes)
        let sink = FakeSink(shape)
        sink.faults.add(SluiceError(.serverFailed, "503", retry: .backoff), to: "write", times: 3)
        sink.faults.add(SluiceError(.serverFailed, "500", retry: .backoff), to: "commit")
        let fixture = TransferFixture()
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == bytes)
        #expect(source.bytesYielded == UInt64(bytes.count))
    }

    @Test("A commit whose answer was lost is resolved by looking", arguments: SinkCapabilities.Shape.all)
    func lostAnswer(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(2 * mebibyte)
        let sink = FakeSink(shape)
        sink.faults.add(SluiceError(.network, "reset", retry: .backoff), to: "committed")
        _ = try await TransferFixture().run(FakeSource(bytes), sink)
        #expect(sink.object() == bytes && sink.commits == 1)
    }

    @Test("The first failure is told, not that of the clean-up after it")
    func cleanUpFailure() async {
        let source = FakeSource(TestBytes.make(100))
        source.publish(TestBytes.sha256([1]))
        for ranges in [true, false] {
            let source = FakeSource(TestBytes.make(100), ranges: ranges)
            source.publish(TestBytes.sha256([1]))
            let fixture = TransferFixture()
            fixture.journal.faults.add(SluiceError(.state, "disk full"), to: "reset")
            #expect(await fixture.failure(source, FakeSink(.parts))?.code == .digestMismatch)
        }
    }

    @Test("A stale lease stops everything at once and leaves the sink alone", arguments: [true, false])
    func staleLease(ranges: Bool) async {
        let fixture = TransferFixture()
        let sink = FakeSink(SinkCapabilities(shape: .parts, preferredPart: 1 << 20)) { part in
            if part == 0 { fixture.journal.takeAway() }
        }
        let source = FakeSource(TestBytes.make(4 * mebibyte), ranges: ranges)
        #expect(await fixture.failure(source, sink)?.code == .superseded)
        #expect(sink.object() == nil && sink.commits == 0 && sink.aborts == 0)
        fixture.expectNothingHeld(source)
    }
}

/// A value that a closure made earlier must see.
final class Box<Value: Sendable>: Sendable {
    private let state = Locked<Value?>(nil)

    var value: Value? {
        get { state.withLock { $0 } }
        set { state.withLock { $0 = newValue } }
    }
}
