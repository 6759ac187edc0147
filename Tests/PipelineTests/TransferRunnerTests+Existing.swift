import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// What is at the sink already, and what the digest must be: decided before a byte moves.
extension TransferRunnerTests {
    @Test("A user's digest is demanded, and a source that publishes another is refused before a byte moves")
    func demandedDigest() async throws {
        let bytes = TestBytes.make(1000)
        var fixture = TransferFixture()
        fixture.expectedSHA256 = TestBytes.sha256(bytes).hex
        let sink = FakeSink(.parts)
        #expect(try await fixture.run(FakeSource(bytes), sink).proof == .published)

        let source = FakeSource(bytes)
        source.publish(TestBytes.sha256([1]))
        #expect(await fixture.failure(source, FakeSink(.parts))?.code == .digestMismatch)
        #expect(source.reads.isEmpty)

        fixture.expectedSHA256 = "12"
        #expect(await fixture.failure(FakeSource(bytes), FakeSink(.parts))?.code == .usage)
    }

    @Test("What is there already is refused, replaced or left, as the user said")
    func overwritePolicies() async throws {
        let bytes = TestBytes.make(1000)
        var fixture = TransferFixture()
        let sink = FakeSink(.positioned)
        sink.put([7])
        #expect(await fixture.failure(FakeSource(bytes), sink)?.code == .exists)
        #expect(sink.object() == [7])

        // Of the same length: the bytes decide.
        sink.put(TestBytes.make(1000, seed: 9))
        #expect(await fixture.failure(FakeSource(bytes), sink)?.code == .exists)
        sink.put(bytes)
        #expect(try await fixture.run(FakeSource(bytes), sink).state == .done)
        #expect(sink.object() == bytes)
        sink.put([7])

        fixture.overwrite = .skip
        #expect(try await fixture.run(FakeSource(bytes), sink).state == .skipped)
        #expect(sink.object() == [7])

        fixture.overwrite = .overwrite
        #expect(try await fixture.run(FakeSource(bytes), sink).state == .done)
        #expect(sink.object() == bytes)
    }

    @Test("A published digest that the sink holds is not read at all, and the first read is let go")
    func dedupeBeforeTheFirstByte() async throws {
        let bytes = TestBytes.make(1000)
        var script = FakeSource.Script()
        script.startsOnOpen = true
        let source = FakeSource(bytes, published: true, script: script)
        let sink = FakeSink(.parts)
        sink.put(bytes)
        let fixture = TransferFixture()
        let outcome = try await fixture.run(source, sink)
        #expect(outcome.state == .skipped && outcome.proof == .published && outcome.moved == 0)
        #expect(source.bytesYielded == 0)
        fixture.expectNothingHeld(source)
    }

    @Test("What is renewed is fetched, whatever the sink says that it holds")
    func renews() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let sink = FakeSink(.parts)
        sink.put(bytes)
        for (policy, state) in [(OverwritePolicy.overwrite, TransferState.skipped), (.renew, .done)] {
            let source = FakeSource(bytes, published: true)
            let outcome = try await TransferFixture(overwrite: policy).run(source, sink)
            #expect(outcome.state == state && outcome.moved == (state == .done ? UInt64(bytes.count) : 0))
        }
        #expect(sink.object() == bytes)
    }

    @Test("What may be replaced in one version only is replaced in that one, and what is in its place is not")
    func replacesOneVersion() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let sink = FakeSink(.parts)
        sink.put(TestBytes.make(1000))
        let there = try #require(try await sink.target("object").existing())
        #expect(
            OverwritePolicy(rawValue: OverwritePolicy.replace(there.fingerprint).rawValue)
                == .replace(there.fingerprint)
        )
        let stale = TransferFixture(overwrite: .replace("another"))
        let error = await #expect(throws: SluiceError.self) { try await stale.run(FakeSource(bytes), sink) }
        #expect(error?.code == .exists && sink.object() == TestBytes.make(1000))
        let fixture = TransferFixture(overwrite: .replace(there.fingerprint))
        #expect(try await fixture.run(FakeSource(bytes), sink).state == .done && sink.object() == bytes)
        // It went away meanwhile.
        #expect(try await fixture.run(FakeSource(bytes), FakeSink(.parts)).state == .done)
    }

    @Test("Another version with the same entity tag is the same object")
    func versions() {
        let there = StoredObject(location: "s3://b/k", size: 1, fingerprint: "\"tag\" v2")
        #expect(there.isVersion("\"tag\" v2") && there.isVersion("\"tag\" v1") && there.isVersion("\"tag\""))
        #expect(!there.isVersion("\"other\" v2") && !there.isVersion(""))
    }

    @Test("Two transfers of one digest: one fetch")
    func singleFlight() async throws {
        let bytes = TestBytes.make(3 * mebibyte)
        let fixture = TransferFixture()
        let table = fixture.resources.inFlight
        var script = FakeSource.Script()
        // Who comes when the fetch is over is no one that it is shared with.
        script.beforeChunk = { _, offset in if offset == 0 { await until { table.waiting == 1 } } }
        let first = FakeSource(bytes, published: true, script: script)
        let second = FakeSource(bytes, published: true, script: script)
        let sink = FakeSink(.parts)
        let other = MemoryJournal()
        async let one = fixture.runner(first, sink, name: "a").run()
        async let two = fixture.runner(second, sink, name: "b", journal: other).run()
        let outcomes = try await [one, two]
        #expect(outcomes.map(\.state) == [.done, .done])
        #expect(sink.object("a") == bytes && sink.object("b") == bytes)
        #expect(first.bytesYielded + second.bytesYielded == UInt64(bytes.count))
    }

    @Test("A transfer that waits for another's fetch can be cancelled")
    func cancelledWhileAnotherFetches() async throws {
        let bytes = TestBytes.make(1000)
        let fixture = TransferFixture()
        guard case .owner = try await fixture.resources.inFlight.claim(TestBytes.sha256(bytes), at: "https://sink")
        else { return #expect(Bool(false)) }
        let source = FakeSource(bytes, published: true)
        let sink = FakeSink(.parts)
        let task = Task { try await fixture.run(source, sink) }
        await until { source.opens == 1 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(source.bytesYielded == 0)
    }
}
