import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// An object at several origins, of which some fail, lie or end.
@Suite(.timeLimit(.minutes(10))) struct AlternateTests {
    private static let part = mebibyte
    private static let shapes: [SinkCapabilities.Shape] = [.positioned, .parts]
    private let bytes = TestBytes.make(6 * mebibyte + 5)
    private var digest: Digest { TestBytes.sha256(bytes) }

    private func origin(_ name: String, published: Bool = true, script: FakeSource.Script = .init()) -> FakeSource {
        let pin = Pin.etag("\"\(name)\"", size: nil)
        return FakeSource(bytes, published: published, pin: pin, host: "https://\(name)", script: script)
    }

    private func flipped(at offset: Int) -> [UInt8] {
        var wrong = bytes
        wrong[offset] ^= 1
        return wrong
    }

    private static let broken = SluiceError(.network, "broken", retry: .backoff)
    private static let gone = SluiceError(.notFound, "gone")

    private func run(
        _ fixture: TransferFixture,
        _ origins: [FakeSource],
        _ sink: FakeSink
    ) async throws -> TransferOutcome {
        try await withTaskExecutorPreference(BlockingExecutor.shared) {
            try await fixture.runner(origins[0], sink, alternates: Array(origins.dropFirst())).run()
        }
    }

    private func failure(_ fixture: TransferFixture, _ origins: [FakeSource], _ sink: FakeSink) async -> SluiceError? {
        do {
            _ = try await run(fixture, origins, sink)
            return nil
        } catch {
            return error as? SluiceError
        }
    }

    /// Dies at a step of sink and journal: four to begin, then each write and each receipt.
    private func expectKilled(
        _ fixture: TransferFixture,
        _ origins: [FakeSource],
        _ sink: FakeSink,
        at step: Int
    ) async throws {
        let kill = KillSwitch(at: step)
        sink.run(under: kill)
        fixture.journal.run(under: kill)
        await #expect(throws: (any Error).self) { try await run(fixture, origins, sink) }
        #expect(kill.isDead && sink.object() == nil)
        sink.run(under: KillSwitch())
        fixture.journal.run(under: KillSwitch())
    }

    private func expectNothingHeld(_ fixture: TransferFixture, _ origins: [FakeSource]) {
        for origin in origins { fixture.expectNothingHeld(origin) }
    }

    // MARK: - The bad part

    @Test("a flipped byte: only its part is written again, from the alternate", arguments: shapes)
    func flippedByte(shape: SinkCapabilities.Shape) async throws {
        let (first, second) = (origin("first"), origin("second"))
        first.lie(flipped(at: 3 * mebibyte + 17))
        let chunks = Locked<[UInt64]>([])
        let sink = FakeSink(SinkCapabilities(shape: shape, preferredPart: UInt64(AlternateTests.part))) { offset in
            chunks.withLock { $0.append(offset) }
        }
        let fixture = TransferFixture()
        let outcome = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes && outcome.sha256 == digest && outcome.proof == .published)
        let counts = Dictionary(chunks.withLock { $0 }.map { ($0, 1) }, uniquingKeysWith: +)
        let again = counts.filter { $0.value > 1 }.keys.sorted()
        if shape == .parts {
            #expect(again == [3] && sink.writes.count == 8, "seven parts, and the fourth once more")
            #expect(outcome.alternates == [AlternateShare(location: second.location, bytes: UInt64(mebibyte))])
        } else {
            #expect(again.count == 1 && again.allSatisfy { Int($0) / mebibyte == 3 })
            #expect(outcome.alternates.map(\.location) == [second.location])
        }
        #expect(sink.aborts == 0 && first.bytesYielded == UInt64(bytes.count))
        expectNothingHeld(fixture, [first, second])
    }

    @Test("an alternate that is wrong too: refused with all digests, nothing is kept", arguments: shapes)
    func wrongTwice(shape: SinkCapabilities.Shape) async throws {
        let (first, second) = (origin("first"), origin("second"))
        first.lie(flipped(at: 5))
        second.lie(flipped(at: 2 * mebibyte))
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture()
        let error = try #require(await failure(fixture, [first, second], sink))
        #expect(error.code == .digestMismatch && error.retry == .never)
        for found in [TestBytes.sha256(flipped(at: 5)), TestBytes.sha256(flipped(at: 2 * mebibyte)), digest] {
            #expect(error.message.contains(found.hex), "\(error.message)")
        }
        #expect(error.message.contains(second.location))
        #expect(sink.object() == nil && sink.unfinished == 0 && fixture.journal.saved == nil)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("two alternates: the one that lies is passed over for the one that agrees", arguments: shapes)
    func thirdAgrees(shape: SinkCapabilities.Shape) async throws {
        let origins = [origin("first"), origin("second"), origin("third")]
        origins[0].lie(flipped(at: 5))
        origins[1].lie(flipped(at: 2 * mebibyte))
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture()
        _ = try await run(fixture, origins, sink)
        #expect(sink.object() == bytes)
        expectNothingHeld(fixture, origins)
    }

    @Test("an alternate of another length or with another published digest is none", arguments: shapes)
    func otherObject(shape: SinkCapabilities.Shape) async throws {
        for isShorter in [true, false] {
            let first = origin("first")
            first.lie(flipped(at: 5))
            let other = isShorter ? Array(bytes.dropLast()) : TestBytes.make(bytes.count, seed: 9)
            let second = FakeSource(other, published: true, host: "https://second")
            let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
            let fixture = TransferFixture()
            let error = try #require(await failure(fixture, [first, second], sink))
            #expect(error.code == .digestMismatch && error.message.contains("not the same object"), "\(error)")
            #expect(sink.object() == nil && sink.unfinished == 0 && second.bytesYielded == 0)
            expectNothingHeld(fixture, [first, second])
        }
    }

    @Test("an alternate that breaks off in mid-comparison is taken up where it broke off", arguments: shapes)
    func comparisonResumes(shape: SinkCapabilities.Shape) async throws {
        let first = origin("first")
        first.lie(flipped(at: 4 * mebibyte))
        var script = FakeSource.Script()
        script.breaks = [1: (2 * mebibyte + 300, AlternateTests.broken), 2: (10, AlternateTests.broken)]
        let second = origin("second", published: false, script: script)
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture()
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes && second.bytesYielded == UInt64(bytes.count))
        #expect(second.reads.count == 3)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("a part of an earlier process is not known by its SHA-256, and is written again")
    func unknownParts() async throws {
        let sink = FakeSink(.parts, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        let dying = origin("first")
        dying.lie(flipped(at: 10))
        try await expectKilled(fixture, [dying, origin("second")], sink, at: 12)
        #expect(sink.writes.count == 3)
        let (first, second) = (origin("first"), origin("second"))
        first.lie(flipped(at: 10))
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes)
        // The rest of the first run, and then the three that nobody remembers.
        #expect(sink.writes.dropFirst(3).map(\.index) == [3, 4, 5, 6, 0, 1, 2])
        expectNothingHeld(fixture, [first, second])
    }

    @Test("killed in mid-comparison, another run has the right bytes or none", arguments: shapes, [1, 2, 3, 4])
    func killed(shape: SinkCapabilities.Shape, step: Int) async throws {
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        let first = origin("first")
        // Wrong everywhere, so that every part is written again.
        let wrong = TestBytes.make(bytes.count, seed: 5)
        first.lie(wrong)
        let moved = shape == .parts ? 4 + 2 * 7 : 4 + 5 * 6 + 2
        try await expectKilled(fixture, [first, origin("second")], sink, at: moved + step)
        let origins = [origin("first"), origin("second")]
        origins[0].lie(wrong)
        _ = try await run(fixture, origins, sink)
        #expect(sink.object() == bytes)
        expectNothingHeld(fixture, origins)
    }

    // MARK: - Fetched again whole

    @Test("what is held whole, or comes in one stream, is fetched again from the alternate")
    func wholeAgain() async throws {
        for count in [1000, mebibyte] {
            for (shape, ranges) in [(SinkCapabilities.Shape.positioned, true), (.positioned, false), (.parts, true)] {
                let good = TestBytes.make(count)
                var wrong = good
                wrong[7] ^= 1
                var script = FakeSource.Script()
                script.startsOnOpen = true
                let first = FakeSource(good, published: true, ranges: ranges, script: script)
                first.lie(wrong)
                let second = FakeSource(good, host: "https://second")
                let sink = FakeSink(shape)
                let fixture = TransferFixture()
                let outcome = try await run(fixture, [first, second], sink)
                #expect(sink.object() == good && outcome.proof == .published)
                #expect(outcome.alternates == [AlternateShare(location: second.location, bytes: UInt64(count))])
                #expect(sink.unfinished == 0)
                expectNothingHeld(fixture, [first, second])
            }
        }
    }

    @Test("where only git's name is published it proves the alternate's bytes")
    func gitName() async throws {
        let good = TestBytes.make(1000)
        var script = FakeSource.Script()
        script.startsOnOpen = true
        let first = FakeSource(good, script: script)
        let git = RunningDigest(.gitSHA1, size: 1000)
        good.withUnsafeBytes { git.update($0) }
        first.publish(git.finish())
        first.lie(TestBytes.make(1000, seed: 2))
        let second = FakeSource(good, host: "https://second")
        let sink = FakeSink(.positioned)
        let outcome = try await run(TransferFixture(), [first, second], sink)
        #expect(sink.object() == good && outcome.proof == .published)
    }

    // MARK: - Failover

    @Test("the first that can be opened is taken", arguments: [gone, broken])
    func opens(error: SluiceError) async throws {
        let (first, second) = (origin("first"), origin("second", published: false))
        first.faults.add(error, to: "open", times: 100)
        let sink = FakeSink(.parts, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture()
        let outcome = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes)
        #expect(outcome.alternates == [AlternateShare(location: second.location, bytes: UInt64(bytes.count))])
        #expect(first.opens == 0)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("in mid-object the next goes on from the same byte, if a digest decides", arguments: shapes)
    func goesOn(shape: SinkCapabilities.Shape) async throws {
        for error in [AlternateTests.gone, SluiceError(.sourceChanged, "changed", retry: .restart)] {
            var script = FakeSource.Script()
            script.breaks = [3: (300_000, error)]
            let (first, second) = (origin("first", script: script), origin("second", published: false))
            let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
            let fixture = TransferFixture(connections: 1)
            let outcome = try await run(fixture, [first, second], sink)
            #expect(sink.object() == bytes && outcome.proof == .published)
            #expect(first.bytesYielded == UInt64(2 * mebibyte + 300_000))
            #expect(first.bytesYielded + second.bytesYielded == UInt64(bytes.count), "nothing came twice")
            #expect(outcome.alternates == [AlternateShare(location: second.location, bytes: second.bytesYielded)])
            expectNothingHeld(fixture, [first, second])
        }
    }

    @Test("a network that breaks again and again is left for the alternate")
    func breaksRepeatedly() async throws {
        var script = FakeSource.Script()
        for read in 2...50 { script.breaks[read] = (0, AlternateTests.broken) }
        let (first, second) = (origin("first", script: script), origin("second"))
        let sink = FakeSink(.parts, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes && first.reads.count == 4)
    }

    @Test("without a digest bytes of two origins never meet, and what nothing proves is not taken", arguments: shapes)
    func neverMeet(shape: SinkCapabilities.Shape) async throws {
        var script = FakeSource.Script()
        script.breaks = [3: (0, AlternateTests.gone)]
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let first = origin("first", published: false, script: script)
        let second = FakeSource(TestBytes.make(bytes.count, seed: 3), host: "https://second")
        let fixture = TransferFixture(connections: 1)
        let error = try #require(await failure(fixture, [first, second], sink))
        #expect(error.code == .notFound, "\(error)")
        #expect(sink.object() == nil && second.bytesYielded == 0)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("without a digest at the first, one that publishes its own starts over", arguments: shapes)
    func startsOver(shape: SinkCapabilities.Shape) async throws {
        var script = FakeSource.Script()
        script.breaks = [3: (0, AlternateTests.gone)]
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let (first, second) = (origin("first", published: false, script: script), origin("second"))
        let fixture = TransferFixture(connections: 1)
        let outcome = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes && outcome.proof == .published)
        #expect(second.bytesYielded == UInt64(bytes.count))
        expectNothingHeld(fixture, [first, second])
    }

    @Test("two versions that met are found, and mended from the origin that is whole", arguments: shapes)
    func mixedVersions(shape: SinkCapabilities.Shape) async throws {
        var script = FakeSource.Script()
        script.breaks = [3: (0, AlternateTests.gone)]
        let (first, second) = (origin("first", script: script), origin("second"))
        first.lie(flipped(at: mebibyte))
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("a later run goes on with another origin where the first is gone", arguments: shapes)
    func laterRun(shape: SinkCapabilities.Shape) async throws {
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        var fixture = TransferFixture(connections: 1)
        fixture.expectedSHA256 = digest.hex
        let steps = shape == .parts ? 12 : 21
        try await expectKilled(fixture, [origin("first"), origin("second")], sink, at: steps)
        let (first, second) = (origin("first"), origin("second", published: false))
        first.faults.add(AlternateTests.gone, to: "open", times: 9)
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes && second.bytesYielded == UInt64(bytes.count - 3 * mebibyte))
    }

    @Test("without a digest a later run keeps nothing of which nobody knows the origin", arguments: shapes)
    func equalPins(shape: SinkCapabilities.Shape) async throws {
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        let steps = shape == .parts ? 12 : 21
        let second = FakeSource(TestBytes.make(bytes.count, seed: 3), host: "https://second")
        try await expectKilled(fixture, [origin("first", published: false), second], sink, at: steps)
        #expect(sink.object() == nil)
        let first = origin("first", published: false)
        first.faults.add(AlternateTests.gone, to: "open", times: 9)
        // The same entity tag and length, and other bytes.
        let other = FakeSource(TestBytes.make(bytes.count, seed: 3), host: "https://second")
        _ = try await run(fixture, [first, other], sink)
        #expect(sink.object() == TestBytes.make(bytes.count, seed: 3))
        #expect(other.bytesYielded == UInt64(bytes.count))
    }

    @Test("the source is not blamed for what an alternate brought in an earlier run", arguments: shapes)
    func innocent(shape: SinkCapabilities.Shape) async throws {
        var script = FakeSource.Script()
        script.breaks = [2: (0, AlternateTests.gone)]
        let sink = FakeSink(shape, part: UInt64(AlternateTests.part))
        let fixture = TransferFixture(connections: 1)
        let liar = origin("second")
        liar.lie(flipped(at: 2 * mebibyte))
        try await expectKilled(fixture, [origin("first", script: script), liar], sink, at: shape == .parts ? 14 : 26)
        let (first, second) = (origin("first"), origin("second"))
        second.lie(flipped(at: 2 * mebibyte))
        _ = try await run(fixture, [first, second], sink)
        #expect(sink.object() == bytes)
        expectNothingHeld(fixture, [first, second])
    }

    @Test("all origins fail: the error names each of them")
    func allFail() async throws {
        let (first, second) = (origin("first"), origin("second"))
        first.faults.add(AlternateTests.gone, to: "open", times: 9)
        second.faults.add(SluiceError(.notAuthorised, "denied"), to: "open", times: 9)
        let error = try #require(await failure(TransferFixture(), [first, second], FakeSink(.parts)))
        #expect(error.code == .notFound && error.message.contains("denied"), "\(error)")
        #expect(error.object == first.location && error.message.contains(second.location))
    }

    @Test("what is wrong with the sink is no reason to ask another origin")
    func sinkFails() async throws {
        let (first, second) = (origin("first"), origin("second"))
        let sink = FakeSink(.parts, part: UInt64(AlternateTests.part))
        sink.faults.add(SluiceError(.notAuthorised, object: sink.target().location, "denied"), to: "write", times: 9)
        let error = try #require(await failure(TransferFixture(), [first, second], sink))
        #expect(error.object == sink.target().location && second.reads.isEmpty)
    }
}
