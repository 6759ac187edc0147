import SluiceBytes

/// What an earlier attempt left behind, in this process or in a dead one.
public struct JournalSnapshot: Sendable {
    /// The version that the earlier attempt read.
    public var pin: Pin
    /// The part size it cut by, bytes.
    public var partSize: UInt64
    /// Length in bytes; nil if unknown.
    public var size: UInt64?
    /// The sink session's record.
    public var session: [UInt8]?
    /// Receipts in part order.
    public var receipts: [PartReceipt]
    /// SHA-256 over the first `digestOffset` bytes, as `SHA256.savedState`; nil at offset 0.
    public var digestState: [UInt8]?
    /// How many leading bytes `digestState` covers.
    public var digestOffset: UInt64
    /// CRC32C of parts that were hashed, by part index: a part hashed but not acknowledged is compared with it when it
    /// is fetched again, since the running SHA-256 covers it already.
    public var hashedParts: [Int: Digest]
    /// Set when the earlier attempt was about to commit: the sink is looked at before anything moves.
    public var committing: Bool
    /// SHA-256 of the whole, if the earlier attempt was about to commit and had hashed it.
    public var commitDigest: Digest?

    /// A snapshot from its parts.
    public init(
        pin: Pin,
        partSize: UInt64,
        size: UInt64?,
        session: [UInt8]?,
        receipts: [PartReceipt],
        digestState: [UInt8]?,
        digestOffset: UInt64,
        hashedParts: [Int: Digest],
        committing: Bool,
        commitDigest: Digest? = nil
    ) {
        self.pin = pin
        self.partSize = partSize
        self.size = size
        self.session = session
        self.receipts = receipts
        self.digestState = digestState
        self.digestOffset = digestOffset
        self.hashedParts = hashedParts
        self.committing = committing
        self.commitDigest = commitDigest
    }
}

/// The journal of one claimed transfer: intent before a side effect, receipt after it (DESIGN rule 5).
///
/// Every method returns when its row is durable. Every method throws `.superseded` when the claim's fence is stale: the
/// caller stops at once and touches neither source nor sink again.
public protocol TransferJournal: Sendable {
    /// What an earlier attempt left; nil if nothing of use.
    func snapshot() async throws -> JournalSnapshot?

    /// Binds the row to a version and a plan; forgets receipts of any other. Before the sink session begins.
    func begin(pin: Pin, size: UInt64?, partSize: UInt64) async throws

    /// Saves the sink session's record.
    func save(session: [UInt8]) async throws

    /// Saves a part's receipt together with the running digest at `digestOffset`. Two parts may end at once and be
    /// recorded in either order: a digest at a lower offset than the saved one is left out.
    func record(_ receipt: PartReceipt, digestState: [UInt8]?, digestOffset: UInt64, hashedParts: [Int: Digest])
        async throws

    /// From here on bytes may come from several origins: whoever goes on from them needs a SHA-256 that decides. What was
    /// recorded stays.
    func mix() async throws

    /// `begin`, `save` and `willCommit` at once, of an object that was held whole before anything was written.
    func begin(pin: Pin, size: UInt64, partSize: UInt64, session: [UInt8], sha256: Digest?) async throws

    /// Intent to commit an object with this SHA-256 (nil for a copy within a server, which nobody hashed).
    func willCommit(sha256: Digest?) async throws

    /// Drops session and receipts: the next attempt starts over.
    func reset() async throws

    /// The last success of the same source, target and settings; nil if there is none.
    func lastDone() async throws -> DoneRecord?

    /// Where earlier transfers have stored content with this digest, in reach of this one's settings, the latest first:
    /// a hint, to be looked at before it is used.
    func stored(_ digest: Digest) async throws -> [StoredObject]

    /// Whether the claim's source, or content of the digest that the user demands, was stored before: then the first look
    /// may show that nothing need be fetched.
    func mayBeStored() async throws -> Bool
}

extension TransferJournal {
    /// For journals that keep no history.
    public func lastDone() async throws -> DoneRecord? { nil }

    /// For journals that keep no history.
    public func stored(_ digest: Digest) async throws -> [StoredObject] { [] }

    /// For journals that keep no history.
    public func mayBeStored() async throws -> Bool { false }
}

/// What is known of a transfer that ended well: enough to see that a re-run has nothing to do.
public struct DoneRecord: Sendable, Hashable {
    /// The version that was moved.
    public var pin: Pin
    /// The digest of its bytes; nil for a copy within a server.
    public var sha256: Digest?
    /// The object at the sink, as `StoredObject.fingerprint` said.
    public var fingerprint: String
    /// Length in bytes.
    public var size: UInt64

    /// A record from its parts.
    public init(pin: Pin, sha256: Digest?, fingerprint: String, size: UInt64) {
        self.pin = pin
        self.sha256 = sha256
        self.fingerprint = fingerprint
        self.size = size
    }
}

/// The queue as a worker sees it. The store behind it is the truth; the worker holds only what it runs.
public protocol TransferQueue: Sendable {
    /// Claims up to `limit` transfers that may run now, best first, at most `perHost` of one host in all.
    ///
    /// - Parameters:
    ///   - job: only of this job; nil: of any.
    ///   - running: how many of each host this worker runs already.
    func claim(limit: Int, job: JobID?, perHost: Int, running: [String: Int]) async throws -> [ClaimedTransfer]

    /// The journal of a claim.
    func journal(of claim: ClaimedTransfer) -> any TransferJournal

    /// Ends a claim with success.
    func finish(_ claim: ClaimedTransfer, _ outcome: TransferOutcome) async throws

    /// Ends a claim with an error: failed, parked, or delayed until `retryAfter` has passed.
    func fail(_ claim: ClaimedTransfer, _ error: SluiceError, retryAfter: Duration?) async throws

    /// Gives claims back unharmed (shutdown, pause).
    ///
    /// - Returns: what each is now; none for one that another worker has.
    func release(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState]

    /// Keeps the leases of this worker alive, and tells which claims were paused or cancelled by the user meanwhile.
    func heartbeat(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState]

    /// Whether anything is queued, delayed or run by another worker; and when the next delayed one is due.
    func outlook(job: JobID?) async throws -> QueueOutlook
}

/// What is left in the queue.
public struct QueueOutlook: Sendable {
    /// May be claimed now (host limits aside).
    public var runnable: Int
    /// Leased to other live workers.
    public var elsewhere: Int
    /// Until the next delayed transfer is due; nil if none is delayed.
    public var nextDue: Duration?

    /// An outlook from its parts.
    public init(runnable: Int, elsewhere: Int, nextDue: Duration?) {
        self.runnable = runnable
        self.elsewhere = elsewhere
        self.nextDue = nextDue
    }
}
