import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceState

@Suite("The journal", .timeLimit(.minutes(10)))
struct JournalTests {
    private let directory: StateDirectory
    private let store: StateStore
    private let pin = Pin.etag("\"v1\"", size: 100)

    init() throws {
        directory = try StateDirectory()
        store = try directory.open()
    }

    private func claim() async throws -> ClaimedTransfer {
        _ = try await store.add([.numbered(0)], command: "test")
        return try #require(try await store.claim(1).first)
    }

    private func crc(_ byte: UInt8) throws -> Digest {
        try #require(Digest(.crc32c, bytes: [byte, 0, 0, 0]))
    }

    private func receipt(_ index: Int) throws -> PartReceipt {
        let lower = UInt64(index) * 10
        return PartReceipt(
            part: Part(index: index, range: ByteRange(lower, lower + 10)),
            tag: "tag-\(index)",
            crc32c: try crc(UInt8(index)),
            digests: [try #require(Digest(.md5, bytes: [UInt8](repeating: UInt8(index), count: 16)))]
        )
    }

    @Test("gives back what was written, in part order")
    func roundTrip() async throws {
        let journal = store.journal(of: try await claim())
        #expect(try await journal.snapshot() == nil)
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.save(session: [1, 2, 3])
        try await journal.record(receipt(1), digestState: nil, digestOffset: 0, hashedParts: [:])
        try await journal.record(receipt(0), digestState: [7], digestOffset: 20, hashedParts: [0: crc(0), 1: crc(1)])
        try await journal.willCommit(sha256: nil)
        let snapshot = try #require(try await journal.snapshot())
        #expect(snapshot.pin == pin)
        #expect(snapshot.size == 100)
        #expect(snapshot.partSize == 10)
        #expect(snapshot.session == [1, 2, 3])
        #expect(try snapshot.receipts == [receipt(0), receipt(1)])
        #expect(snapshot.digestState == [7])
        #expect(snapshot.digestOffset == 20)
        #expect(try snapshot.hashedParts == [0: crc(0), 1: crc(1)])
        #expect(snapshot.committing)
    }

    @Test("a session that goes on withdraws the intent to commit what there was before")
    func goesOn() async throws {
        let journal = store.journal(of: try await claim())
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.save(session: [1])
        try await journal.willCommit(sha256: SHA256.hash("all of it"))
        #expect(try await journal.snapshot()?.committing == true)
        try await journal.save(session: [1])
        let snapshot = try #require(try await journal.snapshot())
        #expect(!snapshot.committing && snapshot.commitDigest == nil)
    }

    @Test("keeps lengths and offsets of all 64 bits")
    func wide() async throws {
        let journal = store.journal(of: try await claim())
        try await journal.begin(pin: .weak(size: .max, modified: nil), size: .max, partSize: .max)
        let part = Part(index: 0, range: ByteRange(.max - 1, .max))
        let receipt = PartReceipt(part: part, tag: "", crc32c: try crc(1))
        try await journal.record(receipt, digestState: nil, digestOffset: 0, hashedParts: [:])
        let snapshot = try #require(try await journal.snapshot())
        #expect(snapshot.receipts == [receipt])
        #expect(snapshot.size == .max)
    }

    @Test("moves the digest forward only, in whatever order parts are written")
    func frontier() async throws {
        let journal = store.journal(of: try await claim())
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.record(receipt(1), digestState: [2], digestOffset: 20, hashedParts: [:])
        try await journal.record(receipt(0), digestState: [1], digestOffset: 10, hashedParts: [:])
        let snapshot = try #require(try await journal.snapshot())
        #expect(snapshot.digestState == [2])
        #expect(snapshot.digestOffset == 20)
        #expect(snapshot.receipts.count == 2)
    }

    @Test(
        "keeps the parts of the same version and plan, and forgets those of any other",
        arguments: [
            (Pin.etag("\"v1\"", size: 100), UInt64(10), 1), (.etag("\"v2\"", size: 100), 10, 0),
            (.etag("\"v1\"", size: 100), 20, 0),
        ]
    )
    func begin(pin other: Pin, partSize: UInt64, kept: Int) async throws {
        let journal = store.journal(of: try await claim())
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.save(session: [1])
        try await journal.record(receipt(0), digestState: [1], digestOffset: 10, hashedParts: [0: crc(0)])
        try await journal.begin(pin: other, size: 100, partSize: partSize)
        let snapshot = try #require(try await journal.snapshot())
        #expect(snapshot.receipts.count == kept)
        #expect(snapshot.hashedParts.count == kept)
        #expect((snapshot.session == nil) == (kept == 0))
        #expect((snapshot.digestState == nil) == (kept == 0))
        #expect(snapshot.pin == other)
    }

    @Test("starts over after a reset, and is gone when the transfer is done")
    func forgetting() async throws {
        let claim = try await claim()
        let journal = store.journal(of: claim)
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.record(receipt(0), digestState: nil, digestOffset: 0, hashedParts: [0: crc(0)])
        try await journal.reset()
        #expect(try await journal.snapshot() == nil)
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await journal.record(receipt(0), digestState: nil, digestOffset: 0, hashedParts: [0: crc(0)])
        #expect(try await journal.snapshot()?.hashedParts.count == 1)
        try await store.finish(claim, .done())
        let left: Int? = try await store.read { db in
            try db.row("SELECT (SELECT count(*) FROM part) + (SELECT count(*) FROM hashed_part) AS n")?.optional("n")
        }
        #expect(left == 0)
    }

    @Test("refuses every call of a claim whose fence is stale")
    func fence() async throws {
        let claim = try await claim()
        let journal = store.journal(of: claim)
        try await journal.begin(pin: pin, size: 100, partSize: 10)
        try await store.release([claim])
        let next = try #require(try await store.claim(1).first)
        #expect(next.fence == claim.fence + 1)
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try await journal.snapshot() },
            { try await journal.begin(pin: .etag("\"v2\"", size: 1), size: 1, partSize: 1) },
            { try await journal.begin(pin: pin, size: 1, partSize: 1, session: [9], sha256: nil) },
            { try await journal.save(session: [9]) },
            { try await journal.record(try receipt(0), digestState: nil, digestOffset: 0, hashedParts: [:]) },
            { try await journal.willCommit(sha256: nil) },
            { try await journal.reset() },
        ]
        for call in calls { #expect(await codeThrown(by: call) == .superseded) }
        let snapshot = try #require(try await store.journal(of: next).snapshot())
        #expect(snapshot.pin == pin)
        #expect(snapshot.session == nil)
    }

    @Test("takes begin, session and intent to commit in one step, over what an earlier attempt left")
    func whole() async throws {
        let claim = try await claim()
        #expect(claim.isFresh)
        let journal = store.journal(of: claim)
        #expect(try await journal.snapshot() == nil)
        let digest = SHA256.hash("abc")
        for session: [UInt8] in [[7], [8, 9]] {
            try await journal.begin(pin: pin, size: 100, partSize: 10)
            try await journal.record(try receipt(0), digestState: nil, digestOffset: 0, hashedParts: [:])
            let before = store.transactionCount
            try await journal.begin(pin: pin, size: 100, partSize: 10, session: session, sha256: digest)
            #expect(store.transactionCount == before + 1)
            let snapshot = try #require(try await journal.snapshot())
            #expect(snapshot.pin == pin && snapshot.size == 100 && snapshot.partSize == 10)
            #expect(snapshot.session == session && snapshot.committing && snapshot.commitDigest == digest)
            #expect(snapshot.receipts.isEmpty)
        }
        try await store.release([claim])
        let next = try #require(try await store.claim(1).first)
        #expect(!next.isFresh)
        #expect(try await store.journal(of: next).snapshot()?.session == [8, 9])
    }

    @Test("counts attempts from the last progress")
    func progress() async throws {
        var claim = try await claim()
        let later = SluiceError(.network, "reset", retry: .backoff)
        try await store.fail(claim, later, retryAfter: .zero)
        claim = try #require(try await store.claim(1).first)
        #expect(claim.attempts == 1)
        try await store.journal(of: claim).begin(pin: pin, size: 100, partSize: 10)
        try await store.journal(of: claim).record(receipt(0), digestState: nil, digestOffset: 0, hashedParts: [:])
        try await store.fail(claim, later, retryAfter: .zero)
        claim = try #require(try await store.claim(1).first)
        #expect(claim.attempts == 0)
    }

    @Test("hands the journal of a failed transfer to the same request added again")
    func inheritance() async throws {
        let claim = try await claim()
        try await store.journal(of: claim).begin(pin: pin, size: 100, partSize: 10)
        try await store.journal(of: claim).save(session: [5])
        try await store.journal(of: claim).record(receipt(0), digestState: nil, digestOffset: 0, hashedParts: [:])
        try await store.fail(claim, SluiceError(.serverFailed, "500"), retryAfter: nil)
        #expect(try await store.unfinishedSessions().isEmpty)
        _ = try await store.add([.numbered(0)], command: "again")
        let next = try #require(try await store.claim(1).first)
        #expect(next.id != claim.id)
        let snapshot = try #require(try await store.journal(of: next).snapshot())
        #expect(snapshot.session == [5])
        #expect(try snapshot.receipts == [receipt(0)])
        let sessions = try await store.unfinishedSessions()
        #expect(sessions.map(\.transfer) == [next.id])
        #expect(sessions.map(\.session) == [[5]])
    }

    @Test("remembers the last success of the same request")
    func lastDone() async throws {
        let claim = try await claim()
        let request = claim.request
        let sha256 = try #require(Digest(.sha256, bytes: [UInt8](repeating: 3, count: 32)))
        try await store.journal(of: claim).begin(pin: pin, size: 100, partSize: 10)
        try await store.finish(claim, .done("inode 5", sha256: sha256))
        let record = try await store.lastDone(
            source: request.source,
            target: request.target,
            settings: request.settings
        )
        #expect(record == DoneRecord(pin: pin, sha256: sha256, fingerprint: "inode 5", size: 4))
        #expect(try await store.lastDone(source: request.source, target: request.target, settings: "other") == nil)
    }
}
