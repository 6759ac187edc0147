internal import GRDB
import SluiceBytes
import SluicePipeline

/// A transfer as the queue's list shows it.
package struct TransferRow: Sendable {
    package var id: TransferID
    package var job: JobID
    package var request: TransferRequest
    package var state: TransferState
    /// What the user wants of a running transfer, until its worker heeds it.
    package var wanted: TransferState?
    package var priority: Int
    /// Attempts that were started without progress since.
    package var attempts: Int
    package var fence: Int64
    /// When a delayed transfer is due, milliseconds since 1970.
    package var due: Int64?
    /// Bytes that parts in the journal cover.
    package var journalled: UInt64
    /// Bytes that were moved for it.
    package var moved: UInt64
    package var errorCode: SluiceError.Code?
    package var errorMessage: String?
    package var errorRemedy: String?
    package var proof: Proof?
    package var sha256: Digest?
    /// What the sink calls the version that was stored.
    package var fingerprint: String?
    package var note: String?
    /// Milliseconds since 1970.
    package var addedAt: Int64
    /// Milliseconds since 1970.
    package var finishedAt: Int64?

    static let columns = """
        transfer.*, (SELECT total(upper - lower) FROM part WHERE part.transfer = transfer.id) AS journalled
        """

    init(_ row: Row) throws {
        id = TransferID(try row.required("id"))
        job = JobID(try row.required("job"))
        request = try TransferRequest(row)
        let name: String = try row.required("state")
        guard let state = TransferState(rawValue: name) else {
            throw DamagedRow("`\(name)` is no state of a transfer")
        }
        self.state = state
        wanted = (row.optional("wanted") as String?).flatMap { TransferState(rawValue: $0) }
        priority = try row.required("priority")
        attempts = try row.required("attempts")
        fence = try row.required("fence")
        due = row.optional("not_before")
        journalled = UInt64(exactly: ((row.optional("journalled") as Double?) ?? 0).rounded()) ?? 0
        moved = row.byteCount("moved") ?? 0
        errorCode = (row.optional("error_code") as String?).map { SluiceError.Code(rawValue: $0) }
        errorMessage = row.optional("error_message")
        errorRemedy = row.optional("error_remedy")
        proof = (row.optional("proof") as String?).flatMap { Proof(rawValue: $0) }
        sha256 = row.bytes("sha256").flatMap { Digest(.sha256, bytes: $0) }
        fingerprint = row.optional("fingerprint")
        note = row.optional("note")
        addedAt = try row.required("added_at")
        finishedAt = row.optional("finished_at")
    }
}

/// A job as the queue's list shows it.
package struct JobRow: Sendable {
    package var id: JobID
    /// What the user typed, redacted.
    package var command: String
    package var priority: Int
    /// Whether all its transfers are in the queue.
    package var isListed: Bool
    /// Milliseconds since 1970.
    package var created: Int64
    /// Transfers by state.
    package var counts: [TransferState: Int]
}

/// How many transfers there are in a state, and how many bytes.
package struct StateSummary: Sendable, Hashable {
    package var count: Int
    /// Sum of the known lengths.
    package var size: UInt64
    /// Sum of what was moved.
    package var moved: UInt64
}
