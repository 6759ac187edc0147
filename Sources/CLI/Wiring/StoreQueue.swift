import SluiceBytes
import SluicePipeline
import SluiceSinks
import SluiceState

/// The state store as commands see it.
struct StoreQueue: CommandQueue {
    /// The setting that running workers heed: a rate as `queue limit` takes it.
    static let limitKey = "bwlimit"

    let store: StateStore

    func beginJob(_ command: String, priority: Int) async throws -> JobID {
        try await store.createJob(command: command, priority: priority)
    }

    func add(_ requests: [TransferRequest], to job: JobID) async throws -> [TransferID] {
        try await store.add(requests, to: job).map(\.id)
    }

    func endJob(_ job: JobID) async throws { try await store.endListing(job) }

    /// With settings that no transfer has: of a server it would not be known which endpoint is meant.
    func stored(_ digest: Digest) async throws -> [StoredObject] { try await store.stored(digest, settings: "") }

    func stored(below place: String) async throws -> [StoredObject] { try await store.stored(below: place) }

    func list(_ states: Set<TransferState>, of job: JobID?) -> AsyncThrowingStream<QueueRow, any Error> {
        let rows = RowReader(store.rows(states: states, job: job))
        return AsyncThrowingStream { try await rows.next().map(StoreQueue.row) }
    }

    private static func row(_ row: TransferRow) -> QueueRow {
        QueueRow(
            id: row.id,
            job: row.job,
            state: row.wanted ?? row.state,
            priority: row.priority,
            source: row.request.source,
            target: row.request.target,
            size: row.request.size,
            done: row.journalled,
            error: row.errorMessage
        )
    }

    func fates(of transfers: [TransferID]) async throws -> [TransferID: TransferFate] {
        var fates: [TransferID: TransferFate] = [:]
        for start in stride(from: 0, to: transfers.count, by: 500) {
            let page = Array(transfers[start..<min(start + 500, transfers.count)])
            for row in try await store.transfers(page) { fates[row.id] = StoreQueue.fate(row) }
        }
        return fates
    }

    private static func fate(_ row: TransferRow) -> TransferFate {
        switch row.state {
        case .queued, .running, .delayed: return .open(row.job)
        case .paused, .cancelled: return .held(row.state)
        case .parked, .failed:
            let error = SluiceError(
                row.errorCode ?? .internalFault,
                object: row.request.source,
                row.errorMessage ?? "it failed",
                remedy: row.errorRemedy
            )
            return .failed(error, parked: row.state == .parked)
        case .done, .skipped:
            let size = row.request.size ?? 0
            let stored = StoredObject(location: row.request.target, size: size, fingerprint: row.fingerprint ?? "")
            return .finished(
                TransferOutcome(
                    state: row.state,
                    proof: row.proof ?? .transport,
                    sha256: row.sha256,
                    size: size,
                    moved: 0,
                    stored: stored,
                    note: row.note
                ),
                under: row.request.overwrite
            )
        }
    }

    func requests(
        of rows: TransferIDs,
        after: TransferID?
    ) async throws -> [(row: TransferID, request: TransferRequest)] {
        try await store.transfers(among: rows, after: after, limit: 1_000).map { ($0.id, $0.request) }
    }

    func isUnderWay(_ job: JobID) async throws -> Bool {
        let outlook = try await store.outlook(job: job)
        if outlook.elsewhere > 0 { return true }
        // Whoever has it may wait for a host with the rest of it: to take that over would be to ask the host again.
        return outlook.nextDue != nil && (outlook.runnable == 0 || store.hasCompany)
    }

    func apply(_ action: QueueAction, to selection: QueueSelection) async throws -> Int {
        let rows = StoreQueue.rows(selection)
        switch action {
        case .pause: return try await store.pause(rows)
        case .resume: return try await store.resume(rows)
        case .cancel: return try await store.cancel(rows)
        case .retry: return try await store.retry(rows)
        case .priority(let priority): return try await store.setPriority(priority, of: rows)
        }
    }

    private static func rows(_ selection: QueueSelection) -> TransferSelection {
        switch selection {
        case .transfers(let ids): .transfers(ids)
        case .job(let job): .job(job)
        case .all: .all
        }
    }

    func setLimit(_ bandwidth: BandwidthLimit?) async throws {
        try await store.set(bandwidth?.argument, for: StoreQueue.limitKey)
    }

    func limit() async throws -> BandwidthLimit? {
        try await store.setting(StoreQueue.limitKey).flatMap { BandwidthLimit(argument: $0) }
    }

    func forget(_ selection: QueueSelection, isDryRun: Bool) async throws -> Int {
        try await store.forget(StoreQueue.rows(selection), isDryRun: isDryRun)
    }

    func liveSessions() async throws -> Set<[UInt8]> {
        let sessions = try await store.unfinishedSessions().map(\.session)
        return Set(sessions + sessions.compactMap { S3SessionRecord($0)?.identity })
    }

    func writeSpans(to target: String) async throws -> [WriteSpan] {
        try await store.transfers(to: target).map { row in
            WriteSpan(
                isRunning: row.state == .running,
                endpointURL: try TransferSettings(decoding: row.request.settings).target.endpointURL,
                from: row.addedAt,
                until: row.finishedAt
            )
        }
    }
}

/// Rows one by one: a stream that is made from another pulls from one iterator.
private actor RowReader {
    private var rows: AsyncThrowingStream<TransferRow, any Error>.Iterator

    init(_ rows: AsyncThrowingStream<TransferRow, any Error>) {
        self.rows = rows.makeAsyncIterator()
    }

    func next() async throws -> TransferRow? {
        var iterator = rows
        defer { rows = iterator }
        return try await iterator.next(isolation: self)
    }
}
