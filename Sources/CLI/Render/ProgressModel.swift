import SluiceBytes
import SluicePipeline

/// One transfer that is under way, as the display knows it.
struct ActiveTransfer: Sendable {
    let id: TransferID
    /// Redacted.
    let source: String
    /// Redacted.
    let target: String
    /// Whether the user, or a record of our own, says which digest it has to have.
    var isDemanded = false
    var size: UInt64?
    var done: UInt64 = 0
    var phase = TransferPhase.resolving
    /// When the next attempt begins, while it waits for one.
    var retryAt: Duration?
    var window: RateWindow
    /// Its place among those that are under way.
    fileprivate var order = 0
    /// Whether progress was seen: the first one may count what earlier runs moved, and is no rate.
    fileprivate var hasBaseline = false
    fileprivate var counted: UInt64 = 0

    init(id: TransferID, source: String, target: String, size: UInt64?, at now: Duration) {
        self.id = id
        self.source = Redact.location(source)
        self.target = Redact.location(target)
        self.size = size
        window = RateWindow(at: now)
    }

    /// What a person calls it: the last component of its target, or of its source.
    var name: String {
        let place = target == "-" || target.hasSuffix("/") ? source : target
        let path = place.prefix { $0 != "?" }
        return path.split(separator: "/").last.map(String.init) ?? place
    }
}

/// What is worth more than a moment on the screen.
enum Notice: Sendable {
    case finished(ActiveTransfer, TransferOutcome)
    case failed(ActiveTransfer, SluiceError, parked: Bool)
    case retrying(ActiveTransfer?, SluiceError, after: Duration)
    case released(ActiveTransfer, TransferState)
    case warning(ActiveTransfer?, String)
}

/// The state of all transfers of the process, from their events: without clock or output.
struct ProgressModel: Sendable {
    /// Those that are under way.
    private var transfers: [TransferID: ActiveTransfer] = [:]
    private var started = 0
    /// Transfers that ended well, skipped ones included.
    private(set) var finished = 0
    private(set) var skipped = 0
    private(set) var failed = 0
    /// Bytes of transfers that ended well.
    private(set) var finishedBytes: UInt64 = 0
    /// Bytes that moved in this process, those of transfers under way included.
    var moved: UInt64 { transfers.values.reduce(endedMoved) { $0.addingCapped($1.counted) } }
    private var endedMoved: UInt64 = 0
    /// What the plan says so far, of sizes that it knows.
    private(set) var plannedFiles = 0
    private(set) var plannedBytes: UInt64 = 0
    /// Whether every planned transfer's size is known, and no more will come.
    private(set) var isPlanComplete = false
    private var unknownSizes = 0
    /// Targets of requests that say which digest is to come.
    private var demanded: Set<String> = []
    private(set) var window: RateWindow
    let startedAt: Duration

    init(at now: Duration) {
        window = RateWindow(at: now)
        startedAt = now
    }

    mutating func plan(_ requests: [TransferRequest]) {
        plannedFiles += requests.count
        unknownSizes += requests.count { $0.size == nil }
        for request in requests where request.expectedSHA256 != nil { demanded.insert(request.target) }
        plannedBytes = requests.reduce(plannedBytes) { $0.addingCapped($1.size ?? 0) }
    }

    mutating func completePlan() { isPlanComplete = true }

    /// Bytes of finished and of active transfers.
    var doneBytes: UInt64 { transfers.values.reduce(finishedBytes) { $0.addingCapped($1.done) } }

    /// Bytes of everything planned, if that is known.
    var totalBytes: UInt64? { isPlanComplete && unknownSizes <= 0 ? plannedBytes : nil }

    /// Whether everything that was planned has ended well.
    var isOver: Bool { isPlanComplete && transfers.isEmpty && finished >= totalFiles }

    /// Objects of the plan; of what is known if there is no plan (`run`).
    var totalFiles: Int { max(plannedFiles, finished + failed + transfers.count) }

    /// Those that are under way, in the order in which they started: for a frame, not for each event.
    var active: [ActiveTransfer] { transfers.values.sorted { $0.order < $1.order } }

    /// One that is under way.
    func transfer(_ id: TransferID) -> ActiveTransfer? { transfers[id] }

    /// Takes in an event; returns what deserves a line.
    mutating func apply(_ event: TransferEvent, at now: Duration) -> Notice? {
        guard let id = event.transfer else {
            switch event.kind {
            case .warning(let text): return .warning(nil, text)
            case .retrying(let error, let delay): return .retrying(nil, error, after: delay)
            default: return nil
            }
        }
        if case .started(let source, let target, let size) = event.kind {
            var transfer = ActiveTransfer(id: id, source: source, target: target, size: size, at: now)
            transfer.isDemanded = demanded.remove(target) != nil
            started += 1
            transfer.order = started
            transfers[id] = transfer
            return nil
        }
        guard !update(id, event.kind, at: now) else { return nil }
        let transfer = transfers[id] ?? ActiveTransfer(id: id, source: "", target: "\(id)", size: nil, at: now)
        switch event.kind {
        case .started, .phase, .size, .progress: return nil
        case .warning(let text): return .warning(transfer, text)
        case .retrying(let error, let delay):
            transfers[id]?.phase = .waiting
            transfers[id]?.retryAt = now + delay
            return .retrying(transfer, error, after: delay)
        case .finished(let outcome):
            finish(transfer, outcome, at: now)
            return .finished(transfer, outcome)
        case .failed(let error, let parked):
            failed += 1
            end(transfer, moved: transfer.counted)
            return .failed(transfer, error, parked: parked)
        case .released(let state):
            end(transfer, moved: transfer.counted)
            return .released(transfer, state)
        }
    }

    /// Takes in how far a transfer came; false for an event of another kind. In place: most events are of these.
    private mutating func update(_ id: TransferID, _ kind: TransferEvent.Kind, at now: Duration) -> Bool {
        guard let index = transfers.index(forKey: id) else { return false }
        switch kind {
        case .phase(let phase):
            transfers.values[index].phase = phase
            if phase != .waiting { transfers.values[index].retryAt = nil }
        case .size(let size):
            if transfers.values[index].size == nil {
                unknownSizes -= 1
                plannedBytes = plannedBytes.addingCapped(size)
            }
            transfers.values[index].size = size
        case .progress(let done):
            let before = transfers.values[index].done
            transfers.values[index].done = done
            let isFirst = !transfers.values[index].hasBaseline
            transfers.values[index].hasBaseline = true
            guard !isFirst, done > before else { return true }
            count(done - before, index, at: now)
        default: return false
        }
        return true
    }

    private typealias Place = Dictionary<TransferID, ActiveTransfer>.Index

    private mutating func count(_ bytes: UInt64, _ index: Place, at now: Duration) {
        transfers.values[index].counted = transfers.values[index].counted.addingCapped(bytes)
        transfers.values[index].window.add(bytes, at: now)
        window.add(bytes, at: now)
    }

    private mutating func finish(_ transfer: ActiveTransfer, _ outcome: TransferOutcome, at now: Duration) {
        finished += 1
        if outcome.state == .skipped { skipped += 1 }
        if transfer.size == nil {
            unknownSizes -= 1
            plannedBytes = plannedBytes.addingCapped(outcome.size)
        }
        finishedBytes = finishedBytes.addingCapped(outcome.size)
        if outcome.moved > transfer.counted { window.add(outcome.moved - transfer.counted, at: now) }
        end(transfer, moved: outcome.moved)
    }

    private mutating func end(_ transfer: ActiveTransfer, moved: UInt64) {
        endedMoved = endedMoved.addingCapped(moved)
        transfers[transfer.id] = nil
    }
}
