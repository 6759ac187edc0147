import SluicePipeline
import Synchronization

/// A queue in memory that keeps what a state store would.
public final class MemoryQueue: TransferQueue {
    /// A row.
    public struct Row: Sendable {
        /// Its claim, as the next worker gets it.
        public var claim: ClaimedTransfer
        /// Where it stands.
        public var state = TransferState.queued
        /// What the user wants of a running one.
        public var wish: TransferState?
        /// When a delayed one is due.
        public var due: Duration = .zero
        /// How it ended.
        public var outcome: TransferOutcome?
        /// How it failed last.
        public var error: SluiceError?
        /// The waits that its failures were given.
        public var waits: [Duration?] = []
    }

    private struct State {
        var rows: [TransferID: Row] = [:]
        var journals: [TransferID: MemoryJournal] = [:]
        var claimed: [TransferID] = []
        var elsewhere = 0
        var heartbeats: [[TransferID]] = []
    }

    private let state = Mutex(State())
    private let time: any TimeSource
    /// Failures: `claim`, `finish`, `fail`, `release`, `heartbeat`, `outlook`.
    public let faults = FaultPlan()

    /// An empty queue.
    public init(time: any TimeSource) {
        self.time = time
    }

    /// Adds a row and returns its id.
    @discardableResult
    public func add(
        _ name: String,
        host: String = "https://fake",
        priority: Int = 0,
        job: Int64 = 1,
        fanOut: Int64? = nil
    ) -> TransferID {
        state.withLock { state in
            let id = TransferID(Int64(state.rows.count + 1))
            let request = TransferRequest(source: "\(host)/\(name)", target: name, host: host, fanOut: fanOut)
            let claim = ClaimedTransfer(
                id: id,
                job: JobID(job),
                request: request,
                fence: 0,
                attempts: 0,
                priority: priority
            )
            state.rows[id] = Row(claim: claim)
            state.journals[id] = MemoryJournal()
            return id
        }
    }

    /// The row.
    public func row(_ id: TransferID) -> Row? { state.withLock { $0.rows[id] } }
    /// In the order of their claims.
    public var claimed: [TransferID] { state.withLock { $0.claimed } }
    /// How many rows are in a state.
    public func count(_ wanted: TransferState) -> Int {
        state.withLock { $0.rows.values.count { $0.state == wanted } }
    }
    /// The claims of each heartbeat.
    public var heartbeats: [[TransferID]] { state.withLock { $0.heartbeats } }

    /// The user pauses or cancels.
    public func wish(_ wish: TransferState, for id: TransferID) { state.withLock { $0.rows[id]?.wish = wish } }
    /// Another worker holds so many.
    public func setElsewhere(_ count: Int) { state.withLock { $0.elsewhere = count } }

    /// Claims by priority, then by age; siblings beyond the limit.
    public func claim(limit: Int, job: JobID?, perHost: Int, running: [String: Int]) async throws -> [ClaimedTransfer] {
        try faults.pass("claim")
        let now = time.now()
        return state.withLock { state in
            let due = state.rows.values.filter { row in
                (row.state == .queued || row.state == .delayed && row.due <= now)
                    && (job == nil || job == row.claim.job)
            }
            let best = due.sorted { left, right in
                left.claim.priority != right.claim.priority
                    ? left.claim.priority > right.claim.priority : left.claim.id < right.claim.id
            }
            var hosts = running
            var claims: [ClaimedTransfer] = []
            for row in best {
                let fanOut = row.claim.request.fanOut
                let isSibling =
                    fanOut != nil && claims.contains { $0.job == row.claim.job && $0.request.fanOut == fanOut }
                guard isSibling || claims.count < limit else { continue }
                guard isSibling || hosts[row.claim.request.host, default: 0] < perHost else { continue }
                hosts[row.claim.request.host, default: 0] += 1
                state.rows[row.claim.id]?.state = .running
                state.rows[row.claim.id]?.claim.fence += 1
                state.claimed.append(row.claim.id)
                if let claim = state.rows[row.claim.id]?.claim { claims.append(claim) }
            }
            return claims
        }
    }

    /// The row's journal.
    public func journal(of claim: ClaimedTransfer) -> any TransferJournal {
        state.withLock { $0.journals[claim.id] } ?? MemoryJournal()
    }

    private func end(_ call: String, _ claim: ClaimedTransfer, _ body: (inout Row) -> Void) throws {
        try faults.pass(call)
        try state.withLock { state in
            guard var row = state.rows[claim.id], row.state == .running, row.claim.fence == claim.fence else {
                throw SluiceError(.superseded, "another worker has \(claim.id)")
            }
            body(&row)
            row.wish = nil
            state.rows[claim.id] = row
        }
    }

    /// Done or skipped.
    public func finish(_ claim: ClaimedTransfer, _ outcome: TransferOutcome) async throws {
        try end("finish", claim) { row in
            row.state = outcome.state
            row.outcome = outcome
        }
    }

    /// Failed, parked or delayed.
    public func fail(_ claim: ClaimedTransfer, _ error: SluiceError, retryAfter: Duration?) async throws {
        let now = time.now()
        try end("fail", claim) { row in
            row.error = error
            row.waits.append(retryAfter)
            if !error.gaveSlotUp { row.claim.attempts += 1 }
            row.state = retryAfter != nil ? .delayed : error.retry == .park ? .parked : .failed
            row.due = now + (retryAfter ?? .zero)
        }
    }

    /// Back to the queue, or to what the user wants.
    @discardableResult
    public func release(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState] {
        try faults.pass("release")
        try Task.checkCancellation()
        var released: [TransferID: TransferState] = [:]
        for claim in claims {
            try end("released", claim) { row in
                row.state = row.wish ?? .queued
                released[claim.id] = row.state
            }
        }
        return released
    }

    /// The wishes.
    public func heartbeat(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState] {
        try faults.pass("heartbeat")
        return state.withLock { state in
            state.heartbeats.append(claims.map(\.id))
            return Dictionary(
                uniqueKeysWithValues: claims.compactMap { claim in
                    state.rows[claim.id]?.wish.map { (claim.id, $0) }
                }
            )
        }
    }

    /// What is left.
    public func outlook(job: JobID?) async throws -> QueueOutlook {
        try faults.pass("outlook")
        let now = time.now()
        return state.withLock { state in
            let rows = state.rows.values.filter { job == nil || job == $0.claim.job }
            let delays = rows.filter { $0.state == .delayed }.map(\.due)
            return QueueOutlook(
                runnable: rows.count { $0.state == .queued || $0.state == .delayed && $0.due <= now },
                elsewhere: state.elsewhere,
                nextDue: delays.filter { $0 > now }.min().map { $0 - now }
            )
        }
    }
}
