import FoundationEssentials
internal import GRDB
import SluiceBytes
import SluicePipeline
import Synchronization

/// The journal of one claim, in the state store. What every method guarantees is said on `TransferJournal`.
final class StateJournal: TransferJournal {
    private let store: StateStore
    private let claim: ClaimedTransfer
    /// What is in `hashed_part` already: only what is new is written.
    private let saved = Mutex<[Int: Digest]>([:])
    private let hasWritten = Atomic(false)

    init(store: StateStore, claim: ClaimedTransfer) {
        self.store = store
        self.claim = claim
    }

    func snapshot() async throws -> JournalSnapshot? {
        if claim.isFresh, !hasWritten.load(ordering: .relaxed) { return nil }
        let snapshot = try await store.read { [claim, owner = store.registry.name] db in
            try Self.check(claim, owner, db)
            return try JournalSnapshot(of: claim.id, db)
        }
        saved.withLock { $0 = snapshot?.hashedParts ?? [:] }
        return snapshot
    }

    func begin(pin: Pin, size: UInt64?, partSize: UInt64) async throws {
        let encoded = try PinText.encode(pin)
        let isNew = try await mutate { id, db in
            if let row = try db.row("SELECT pin, size, part_size FROM journal WHERE transfer = ?", [id.value]),
                let known: String = row.optional("pin"), known.utf8.elementsEqual(encoded.utf8),
                row.byteCount("size") == size, row.byteCount("part_size") == partSize
            {
                return false
            }
            try Self.forget(id, db)
            try db.run(
                "INSERT INTO journal (transfer, pin, size, part_size) VALUES (?, ?, ?, ?)",
                [id.value, encoded, size?.stored, partSize.stored]
            )
            return true
        }
        if isNew { saved.withLock { $0 = [:] } }
    }

    func begin(pin: Pin, size: UInt64, partSize: UInt64, session: [UInt8], sha256: Digest?) async throws {
        let encoded = try PinText.encode(pin)
        let isFresh = claim.isFresh && !hasWritten.load(ordering: .relaxed)
        try await mutate { id, db in
            if !isFresh { try Self.forget(id, db) }
            try db.run(
                """
                INSERT OR REPLACE INTO journal (transfer, pin, size, part_size, session, committing, commit_digest)
                VALUES (?, ?, ?, ?, ?, 1, ?)
                """,
                [
                    id.value, encoded, size.stored, partSize.stored, Data(session),
                    sha256.map { Data($0.bytes) },
                ]
            )
        }
        saved.withLock { $0 = [:] }
    }

    func save(session: [UInt8]) async throws {
        try await mutate { id, db in
            let changed = try db.run(
                // What is sent from here on was not meant by an earlier intent to commit.
                "UPDATE journal SET session = ?, committing = 0, commit_digest = NULL WHERE transfer = ?",
                [Data(session), id.value]
            )
            try Self.requireBegun(changed)
        }
    }

    func record(
        _ receipt: PartReceipt,
        digestState: [UInt8]?,
        digestOffset: UInt64,
        hashedParts: [Int: Digest]
    ) async throws {
        let fresh = saved.withLock { saved in hashedParts.filter { saved[$0.key] != $0.value } }
        try await mutate { id, db in
            try Self.insert(receipt, id, db)
            // Two parts may end at once and be written in either order: the digest only moves forward.
            let changed = try db.run(
                """
                UPDATE journal SET
                    digest_state = CASE WHEN digest_offset <= :offset THEN :state ELSE digest_state END,
                    digest_offset = max(digest_offset, :offset)
                WHERE transfer = :id
                """,
                ["offset": digestOffset.stored, "state": digestState.map { Data($0) }, "id": id.value]
            )
            try Self.requireBegun(changed)
            for (index, digest) in fresh {
                try db.run(
                    "INSERT OR REPLACE INTO hashed_part (transfer, idx, crc32c) VALUES (?, ?, ?)",
                    [id.value, index, Data(digest.bytes)]
                )
            }
            // Progress: neither the attempts nor the deaths before it count any more.
            try db.run("UPDATE transfer SET attempts = 0, deaths = 0 WHERE id = ?", [id.value])
        }
        saved.withLock { $0.merge(fresh) { _, new in new } }
    }

    private static func insert(_ receipt: PartReceipt, _ id: TransferID, _ db: Database) throws {
        try db.run(
            """
            INSERT OR REPLACE INTO part (transfer, idx, lower, upper, tag, crc32c, digests)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                id.value, receipt.part.index, receipt.part.range.lower.stored, receipt.part.range.upper.stored,
                receipt.tag, receipt.crc32c.map { Data($0.bytes) }, DigestText.encode(receipt.digests),
            ]
        )
    }

    func mix() async throws {
        let encoded = try PinText.encode(.mixed)
        try await mutate { id, db in
            let changed = try db.run("UPDATE journal SET pin = ? WHERE transfer = ?", [encoded, id.value])
            try Self.requireBegun(changed)
        }
    }

    func willCommit(sha256: Digest?) async throws {
        try await mutate { id, db in
            let changed = try db.run(
                "UPDATE journal SET committing = 1, commit_digest = ? WHERE transfer = ?",
                [sha256.map { Data($0.bytes) }, id.value]
            )
            try Self.requireBegun(changed)
        }
    }

    func reset() async throws {
        try await mutate { id, db in try Self.forget(id, db) }
        saved.withLock { $0 = [:] }
    }

    func lastDone() async throws -> DoneRecord? {
        let request = claim.request
        return try await store.lastDone(source: request.source, target: request.target, settings: request.settings)
    }

    func stored(_ digest: Digest) async throws -> [StoredObject] {
        try await store.stored(digest, settings: claim.request.settings)
    }

    func mayBeStored() async throws -> Bool {
        let request = claim.request
        let digest = request.expectedSHA256.flatMap { Digest(.sha256, hex: $0) }
        return try await store.hasStored(request.source, digest)
    }

    /// Removes a transfer's session, receipts and digests.
    static func forget(_ id: TransferID, _ db: Database) throws {
        // What was found at its target never began one, and then there are no rows of the others either.
        guard try db.run("DELETE FROM journal WHERE transfer = ?", [id.value]) > 0 else { return }
        for table in ["part", "hashed_part"] { try db.run("DELETE FROM \(table) WHERE transfer = ?", [id.value]) }
    }

    private func mutate<Value: Sendable>(
        _ body: @escaping @Sendable (TransferID, Database) throws -> Value
    ) async throws -> Value {
        hasWritten.store(true, ordering: .relaxed)
        return try await store.commits.perform { [claim, owner = store.registry.name] db in
            try Self.check(claim, owner, db)
            return try body(claim.id, db)
        }
    }

    /// The fence: in the same transaction as what it guards.
    private static func check(_ claim: ClaimedTransfer, _ owner: String, _ db: Database) throws {
        let row = try db.row(
            "SELECT 1 FROM transfer WHERE id = ? AND fence = ? AND owner = ? AND state = 'running'",
            [claim.id.value, claim.fence, owner]
        )
        if row == nil { throw StateFault.superseded(claim.id) }
    }

    private static func requireBegun(_ changed: Int) throws {
        if changed == 0 { throw SluiceError(.internalFault, "the journal was written before it was begun") }
    }
}
