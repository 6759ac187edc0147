import SluiceBytes
import SluicePipeline

/// What the suite needs to know of a kind of sink.
public protocol SinkHarness: Sendable {
    /// A container that holds nothing; the same one every time.
    func sink() async throws -> any Sink

    /// What another program reads under a key; nil if nothing is there.
    func content(of key: ObjectKey) async throws -> [UInt8]?

    /// What unfinished sessions left: temporaries, multipart uploads.
    func leftovers() async throws -> [String]

    /// Keys that must be refused, beside `..` and its kind, or an empty list where every key is allowed (S3).
    var unsafeKeys: [ObjectKey] { get }
}

/// The rules that every sink which hides what is unfinished keeps (files, S3; not a pipe).
public enum SinkConformance: String, CaseIterable, Sendable {
    case storesAnObjectOfSeveralParts
    case storesAnEmptyObject
    case showsNothingBeforeCommit
    case commitsTwiceAsOnce
    case refusesToClobber
    case replacesWhenAsked
    case refusesToReplaceWhatChanged
    case leavesNothingAfterAbort
    case takesASessionUpAgain
    case keepsSessionsApart
    case findsWhatItHolds
    case refusesUnsafeKeys
    case cleansUpOnlyTheDead

    /// Runs this check; throws what it found wrong.
    public func run(_ harness: some SinkHarness) async throws {
        switch self {
        case .storesAnObjectOfSeveralParts: try await storesAnObjectOfSeveralParts(harness)
        case .storesAnEmptyObject: try await storesAnEmptyObject(harness)
        case .showsNothingBeforeCommit: try await showsNothingBeforeCommit(harness)
        case .commitsTwiceAsOnce: try await commitsTwiceAsOnce(harness)
        case .refusesToClobber: try await refusesToClobber(harness)
        case .replacesWhenAsked: try await replacesWhenAsked(harness)
        case .refusesToReplaceWhatChanged: try await refusesToReplaceWhatChanged(harness)
        case .leavesNothingAfterAbort: try await leavesNothingAfterAbort(harness)
        case .takesASessionUpAgain: try await takesASessionUpAgain(harness)
        case .keepsSessionsApart: try await keepsSessionsApart(harness)
        case .findsWhatItHolds: try await findsWhatItHolds(harness)
        case .refusesUnsafeKeys: try await refusesUnsafeKeys(harness)
        case .cleansUpOnlyTheDead: try await cleansUpOnlyTheDead(harness)
        }
    }

    // MARK: - Checks

    private func storesAnObjectOfSeveralParts(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("a/b c/\u{E9}.bin")
        let write = try await SinkWrite(harness, key, SampleBytes.make(2 * SinkWrite.unit + 7), unit: true)
        // Last part first: shapes without order take it.
        for index in write.isOrdered ? Array(write.parts.indices) : write.parts.indices.reversed() {
            try await write.send(index)
        }
        let stored = try await write.commit()
        try ConformanceFailure.require(stored.size == UInt64(write.bytes.count), "commit tells size \(stored.size)")
        try await requireContent(harness, key, write.bytes)
        let existing = try await write.target.existing()
        try ConformanceFailure.require(existing?.size == stored.size, "existing() tells another size than commit()")
        try ConformanceFailure.require(
            existing?.fingerprint == stored.fingerprint,
            "existing() has \(existing?.fingerprint ?? "nothing"), commit() told \(stored.fingerprint)"
        )
        try await requireNoLeftovers(harness)
    }

    private func storesAnEmptyObject(_ harness: some SinkHarness) async throws {
        let write = try await SinkWrite(harness, ObjectKey("empty"), [])
        try await write.sendAll()
        _ = try await write.commit()
        try await requireContent(harness, ObjectKey("empty"), [])
    }

    private func showsNothingBeforeCommit(_ harness: some SinkHarness) async throws {
        let write = try await SinkWrite(harness, ObjectKey("hidden"), SampleBytes.make(100_000))
        try await write.sendAll()
        let seen = try await write.target.existing()
        try ConformanceFailure.require(seen == nil, "the object is visible before commit")
        let content = try await harness.content(of: ObjectKey("hidden"))
        try ConformanceFailure.require(content == nil, "another program sees the object before commit")
        _ = try await write.commit()
        try await requireContent(harness, ObjectKey("hidden"), write.bytes)
    }

    private func commitsTwiceAsOnce(_ harness: some SinkHarness) async throws {
        let write = try await SinkWrite(harness, ObjectKey("twice"), SampleBytes.make(1000))
        try await write.sendAll()
        let first = try await write.commit()
        let second = try await write.commit()
        try ConformanceFailure.require(first.fingerprint == second.fingerprint, "the second commit made another object")
        await write.session.abort()
        try await requireContent(harness, ObjectKey("twice"), write.bytes)
    }

    private func refusesToClobber(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("kept")
        let late = try await SinkWrite(harness, key, SampleBytes.make(2000, seed: 2))
        let early = try await SinkWrite.store(harness, key, SampleBytes.make(1000, seed: 1))
        try await late.sendAll()
        try await expect(.exists) { _ = try await late.commit() }
        await late.session.abort()
        try await requireContent(harness, key, early)
        try await requireNoLeftovers(harness)
    }

    private func replacesWhenAsked(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("replaced")
        _ = try await SinkWrite.store(harness, key, SampleBytes.make(1000, seed: 1))
        let write = try await SinkWrite(harness, key, SampleBytes.make(2000, seed: 2), overwrite: .overwrite)
        try await write.sendAll()
        _ = try await write.commit()
        try await requireContent(harness, key, write.bytes)
    }

    private func refusesToReplaceWhatChanged(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("raced")
        _ = try await SinkWrite.store(harness, key, SampleBytes.make(1000, seed: 1))
        let write = try await SinkWrite(harness, key, SampleBytes.make(2000, seed: 2), overwrite: .overwrite)
        try await write.sendAll()
        let other = try await SinkWrite.store(harness, key, SampleBytes.make(3000, seed: 3), overwrite: .overwrite)
        try await expect(.exists) { _ = try await write.commit() }
        await write.session.abort()
        try await requireContent(harness, key, other)
    }

    private func leavesNothingAfterAbort(_ harness: some SinkHarness) async throws {
        let write = try await SinkWrite(harness, ObjectKey("gone"), SampleBytes.make(SinkWrite.unit + 1), unit: true)
        try await write.send(0)
        await write.session.abort()
        await write.session.abort()
        let content = try await harness.content(of: ObjectKey("gone"))
        try ConformanceFailure.require(content == nil, "an aborted object is visible")
        try await requireNoLeftovers(harness)
    }

    private func takesASessionUpAgain(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("resumed")
        let bytes = SampleBytes.make(2 * SinkWrite.unit + 7)
        let resume: SinkWrite.Saved
        do {
            let first = try await SinkWrite(harness, key, bytes, unit: true)
            try await first.send(0)
            resume = await first.save()
        }
        let second = try await SinkWrite(harness, key, bytes, unit: true, resume: resume)
        let record = await second.session.record
        try ConformanceFailure.require(record == resume.record, "the session was not taken up, but started anew")
        try await second.requireStored(part: 0)
        for index in second.parts.indices.dropFirst() { try await second.send(index) }
        _ = try await second.commit()
        try await requireContent(harness, key, bytes)
        try await requireNoLeftovers(harness)
    }

    private func keepsSessionsApart(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("shared")
        let bytes = SampleBytes.make(50_000)
        let one = try await SinkWrite(harness, key, bytes)
        // What a worker would do that took over a lease while the old worker was only stopped.
        let two = try await SinkWrite(harness, key, bytes)
        let records = await [one.session.record, two.session.record]
        try ConformanceFailure.require(records[0] != records[1], "two sessions share one record")
        try await one.sendAll()
        try await two.sendAll()
        _ = try await two.commit()
        await one.session.abort()
        try await requireContent(harness, key, bytes)
        try await requireNoLeftovers(harness)
    }

    private func findsWhatItHolds(_ harness: some SinkHarness) async throws {
        let key = ObjectKey("held")
        let bytes = try await SinkWrite.store(harness, key, SampleBytes.make(70_000))
        let target = try await harness.sink().target(key)
        guard let stored = try await target.existing() else { throw ConformanceFailure("the object is not found") }
        let right = bytes.withUnsafeBytes { SHA256.hash($0) }
        let yes = try await target.holds(right, in: stored, pool: BufferPool())
        let no = try await target.holds(SHA256.hash("other"), in: stored, pool: BufferPool())
        try ConformanceFailure.require(yes != false && no != true, "holds() says \(String(describing: (yes, no)))")
        let missing = try await harness.sink().target(ObjectKey("nowhere/at all")).existing()
        try ConformanceFailure.require(missing == nil, "an object that was never stored exists")
    }

    private func refusesUnsafeKeys(_ harness: some SinkHarness) async throws {
        let sink = try await harness.sink()
        for key in harness.unsafeKeys {
            try await expect(.unsafeName) { _ = try sink.target(key) }
        }
    }

    private func cleansUpOnlyTheDead(_ harness: some SinkHarness) async throws {
        let bytes = SampleBytes.make(SinkWrite.unit + 1)
        let saved: SinkWrite.Saved
        do {
            let dead = try await SinkWrite(harness, ObjectKey("dead"), bytes, unit: true)
            try await dead.send(0)
            saved = await dead.save()
        }
        let sink = try await harness.sink()
        let resumable = KnownSessions(isLive: { $0 == saved.record }, isOurs: { _, _ in true })
        let kept = try await sink.cleanUp(olderThan: .zero, dryRun: false, known: resumable).removed
        try ConformanceFailure.require(kept.isEmpty, "cleanUp removed a session that may be resumed: \(kept)")
        let young = try await sink.cleanUp(olderThan: .seconds(86_400), dryRun: false, known: .nothing).removed
        try ConformanceFailure.require(young.isEmpty, "cleanUp removed a young session: \(young)")
        let dry = try await sink.cleanUp(olderThan: .zero, dryRun: true, known: .nothing).removed
        let before = try await harness.leftovers()
        try ConformanceFailure.require(dry.count == 1 && before.count == 1, "a dry run tells \(dry), left \(before)")
        let removed = try await sink.cleanUp(olderThan: .zero, dryRun: false, known: .nothing).removed
        try ConformanceFailure.require(removed == dry, "a dry run told \(dry), the real one \(removed)")
        try await requireNoLeftovers(harness)
    }

    // MARK: - Steps

    private func requireContent(_ harness: some SinkHarness, _ key: ObjectKey, _ bytes: [UInt8]) async throws {
        let found = try await harness.content(of: key)
        try ConformanceFailure.require(found == bytes, "\(key) holds \(found.map { "\($0.count) bytes" } ?? "nothing")")
    }

    private func requireNoLeftovers(_ harness: some SinkHarness) async throws {
        let left = try await harness.leftovers()
        try ConformanceFailure.require(left.isEmpty, "unfinished work was left: \(left)")
    }
}

extension KnownSessions {
    /// A state store in which nothing goes on, and from which everything came.
    public static let nothing = KnownSessions(isLive: { _ in false }, isOurs: { _, _ in true })
}
