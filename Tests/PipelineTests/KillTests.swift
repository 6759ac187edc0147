import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// Kill -9 at any step loses at most the parts in flight, and leaves nothing wrong under a final name.
@Suite(.timeLimit(.minutes(10))) struct KillTests {
    private struct Outcome {
        var survived = false
        var fetchedTwice: UInt64 = 0
    }

    /// Runs until step `limit`, then again as another process would: the same journal, the same sink.
    private func killAndResume(
        at limit: Int,
        _ shape: SinkCapabilities.Shape,
        ranges: Bool,
        published: Bool,
        overwrite: OverwritePolicy,
        count: Int
    ) async throws -> Outcome {
        let bytes = TestBytes.make(count)
        var script = FakeSource.Script()
        script.chunk = 1 << 20
        let source = FakeSource(bytes, published: published, ranges: ranges, script: script)
        let sink = FakeSink(shape)
        if overwrite == .overwrite { sink.put([1, 2, 3]) }
        let before = sink.object()
        let journal = MemoryJournal()
        let kill = KillSwitch(at: limit)
        journal.run(under: kill)
        sink.run(under: kill)

        let first = TransferFixture(connections: 2, overwrite: overwrite)
        let result = await Task { try await first.runner(source, sink, journal: journal).run() }.result
        first.expectNothingHeld(source)
        let now = sink.object()
        #expect(now == before || now == bytes, "step \(limit): what has the final name is whole")
        if case .success = result {
            #expect(!kill.isDead && now == bytes)
            return Outcome(survived: true)
        }

        let alive = KillSwitch()
        journal.run(under: alive)
        sink.run(under: alive)
        let second = TransferFixture(connections: 2, overwrite: overwrite)
        let outcome = try await second.runner(source, sink, journal: journal).run()
        #expect(sink.object() == bytes, "step \(limit)")
        #expect(outcome.sha256 == TestBytes.sha256(bytes) || outcome.state == .skipped)
        // A temporary file that died before its record was saved is left to the clean-up; an upload never is.
        #expect(sink.unfinished <= (shape == .positioned ? 1 : 0), "step \(limit): nothing is left unreported")
        let total = UInt64(bytes.count)
        return Outcome(fetchedTwice: source.bytesYielded - min(source.bytesYielded, total))
    }

    private func sweep(
        _ shape: SinkCapabilities.Shape,
        ranges: Bool,
        published: Bool,
        overwrite: OverwritePolicy,
        inFlight: UInt64,
        count: Int = 3 * mebibyte + 3
    ) async throws {
        for limit in 1... {
            let outcome = try await killAndResume(
                at: limit,
                shape,
                ranges: ranges,
                published: published,
                overwrite: overwrite,
                count: count
            )
            if outcome.survived {
                #expect(limit > 3, "the sweep went through the run")
                return
            }
            #expect(outcome.fetchedTwice <= inFlight, "step \(limit)")
        }
    }

    @Test(
        "A run that is killed at any step is finished by the next one",
        arguments: [SinkCapabilities.Shape.positioned, .parts],
        [OverwritePolicy.refuse, .overwrite]
    )
    func ranges(shape: SinkCapabilities.Shape, overwrite: OverwritePolicy) async throws {
        for published in [true, false] {
            // Two lanes: at most two parts in flight, and the odd bytes of the last one.
            try await sweep(shape, ranges: true, published: published, overwrite: overwrite, inFlight: 2 << 20 | 3)
        }
    }

    @Test(
        "A file that is held whole is fetched at most twice",
        arguments: [OverwritePolicy.refuse, .overwrite],
        [true, false]
    )
    func whole(overwrite: OverwritePolicy, published: Bool) async throws {
        for ranges in [true, false] {
            try await sweep(
                .positioned,
                ranges: ranges,
                published: published,
                overwrite: overwrite,
                inFlight: 4096,
                count: 4096
            )
        }
    }

    @Test(
        "One stream is begun again, and nothing of the first is left",
        arguments: [
            SinkCapabilities.Shape.positioned, .parts,
        ]
    )
    func sequential(shape: SinkCapabilities.Shape) async throws {
        for overwrite in [OverwritePolicy.refuse, .overwrite] {
            try await sweep(shape, ranges: false, published: true, overwrite: overwrite, inFlight: .max)
        }
    }

    @Test("A commit that died before its last word is found by looking; the good file is not replaced by an empty one")
    func finishedEarlier() async throws {
        let bytes = TestBytes.make(2 * mebibyte)
        for shape in [SinkCapabilities.Shape.positioned, .parts] {
            let source = FakeSource(bytes)
            let sink = FakeSink(shape)
            sink.put([9])
            var fixture = TransferFixture()
            fixture.overwrite = .overwrite
            sink.faults.add(KillSwitch.Killed(), to: "committed")
            await #expect(throws: SluiceError.self) { try await fixture.run(source, sink) }
            let saved = JournalSnapshot(
                pin: .etag("\"1\"", size: UInt64(bytes.count)),
                partSize: 1 << 20,
                size: UInt64(bytes.count),
                session: Array("1".utf8),
                receipts: [],
                digestState: nil,
                digestOffset: 0,
                hashedParts: [:],
                committing: true,
                commitDigest: TestBytes.sha256(bytes)
            )
            fixture.journal.put(saved)
            let outcome = try await fixture.run(source, sink)
            #expect(sink.object() == bytes, "\(shape)")
            #expect(outcome.moved == 0 && outcome.state == .done)
            #expect(sink.commits == 1)
        }
    }

    @Test("A file that changed on the disk between its last byte and its commit is read again, and mended")
    func corruptedBeforeCommit() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let source = FakeSource(bytes)
        let sink = FakeSink(.positioned)
        let journal = MemoryJournal()
        let fixture = TransferFixture()
        sink.faults.add(SluiceError(.fileSystem, "power failure", retry: .park), to: "commit")
        await #expect(throws: SluiceError.self) { try await fixture.runner(source, sink, journal: journal).run() }
        #expect(journal.saved?.committing == true)
        sink.corruptUploads(at: mebibyte + 5)
        _ = try await fixture.runner(source, sink, journal: journal).run()
        #expect(sink.object() == bytes)
        #expect(source.bytesYielded == UInt64(bytes.count + mebibyte), "only the bad part came again")
    }

    @Test("Parts that the server lost are fetched again and compared with what was hashed")
    func lostParts() async throws {
        let bytes = TestBytes.make(4 * mebibyte)
        let source = FakeSource(bytes)
        let sink = FakeSink(.parts)
        let fixture = TransferFixture()
        sink.faults.add(SluiceError(.noSpace, "full", retry: .park), to: "commit")
        await #expect(throws: SluiceError.self) { try await fixture.run(source, sink) }
        sink.loseParts()
        let outcome = try await fixture.run(source, sink)
        #expect(sink.object() == bytes && outcome.sha256 == TestBytes.sha256(bytes))

        sink.faults.add(SluiceError(.noSpace, "full", retry: .park), to: "commit")
        let other = MemoryJournal()
        let second = FakeSource(bytes)
        await #expect(throws: SluiceError.self) {
            try await fixture.runner(second, sink, name: "b", journal: other).run()
        }
        sink.loseParts()
        second.lie(TestBytes.make(bytes.count, seed: 2))
        let failure = await Task { try await fixture.runner(second, sink, name: "b", journal: other).run() }.result
        #expect(throws: SluiceError.self) { try failure.get() }
        #expect(sink.object("b") == nil)
    }

    @Test("A journal of another version is not used: what it left is removed, and the object starts over")
    func changedBetweenRuns() async throws {
        let source = FakeSource(TestBytes.make(3 * mebibyte))
        let sink = FakeSink(.parts)
        let fixture = TransferFixture()
        sink.faults.add(SluiceError(.noSpace, "full", retry: .park), to: "commit")
        await #expect(throws: SluiceError.self) { try await fixture.run(source, sink) }
        #expect(sink.unfinished == 1)
        let newer = TestBytes.make(2 * mebibyte, seed: 5)
        source.replace(with: newer, pin: .etag("\"2\"", size: UInt64(newer.count)))
        _ = try await fixture.run(source, sink)
        #expect(sink.object() == newer && sink.unfinished == 0 && sink.aborts == 1)
    }

    @Test(
        "What an earlier run left is removed where the object came another way",
        arguments: [SinkCapabilities.Shape.positioned, .parts],
        [true, false]
    )
    func cameAnotherWay(shape: SinkCapabilities.Shape, isCopied: Bool) async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let source = FakeSource(bytes, published: true)
        let sink = FakeSink(shape)
        let fixture = TransferFixture()
        sink.faults.add(SluiceError(.noSpace, "full", retry: .park), to: "commit")
        await #expect(throws: SluiceError.self) { try await fixture.run(source, sink) }
        var left = try #require(fixture.journal.saved)
        #expect(sink.unfinished == 1)
        // It was not about to commit: then the object there would be taken for its own.
        left.committing = false
        fixture.journal.put(left)
        sink.put(bytes, isCopied ? "other" : "object")
        if isCopied, let other = try await sink.target("other").existing() {
            fixture.journal.note(other, TestBytes.sha256(bytes))
        }
        let outcome = try await fixture.run(source, sink)
        #expect(outcome.moved == 0 && outcome.state == (isCopied ? .done : .skipped))
        #expect(sink.object() == bytes && sink.unfinished == 0 && sink.aborts == 1)
    }

    @Test(
        "Cancelling leaves the session for the next run, which goes on from there",
        arguments: [
            SinkCapabilities.Shape.positioned, .parts,
        ]
    )
    func cancelled(shape: SinkCapabilities.Shape) async throws {
        let bytes = TestBytes.make(6 * mebibyte)
        let reached = Latch()
        var script = FakeSource.Script()
        script.beforeChunk = { read, offset in
            if offset >= UInt64(4 * mebibyte), read <= 6 {
                reached.open()
                // Until it is cancelled: a server that says nothing.
                try await untilCancelled()
            }
        }
        let source = FakeSource(bytes, script: script)
        let sink = FakeSink(shape)
        let fixture = TransferFixture(connections: 2)
        let task = Task { try await fixture.run(source, sink) }
        await reached.wait()
        await until { (fixture.journal.saved?.receipts.count ?? 0) >= 3 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(sink.unfinished == 1 && sink.aborts == 0)
        fixture.expectNothingHeld(source)

        let before = source.bytesYielded
        let again = FakeSource(bytes)
        _ = try await fixture.run(again, sink)
        #expect(sink.object() == bytes)
        #expect(before + again.bytesYielded <= UInt64(bytes.count + 2 * mebibyte))
    }
}
