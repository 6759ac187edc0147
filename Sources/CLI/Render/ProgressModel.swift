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
    /// In the order in which they started.
    private(set) var active: [ActiveTransfer] = []
    /// Transfers that ended well, skipped ones included.
    private(set) var finished = 0
    private(set) var skipped = 0
    private(set) var failed = 0
    /// Bytes of transfers that ended well.
    private(set) var finishedBytes: UInt64 = 0
    /// Bytes that moved in this process, those of transfers under way included.
    var moved: UInt64 { active.reduce(endedMoved) { $0.addingCapped($1.counted) } }
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
    var doneBytes: UInt64 { active.reduce(finishedBytes) { $0.addingCapped($1.done) } }

    /// Bytes of everything planned, if that is known.
    var totalBytes: UInt64? { isPlanComplete && unknownSizes <= 0 ? plannedBytes : nil }

    /// Whether everything that was planned has ended well.
    var isOver: Bool { isPlanComplete && active.isEmpty && finished >= totalFiles }

    /// Objects of the plan; of what is known if there is no plan (`run`).
    var totalFiles: Int { max(plannedFiles, finished + failed + active.count) }

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
            active.removeAll { $0.id == id }
            var transfer = ActiveTransfer(id: id, source: source, target: target, size: size, at: now)
            transfer.isDemanded = demanded.remove(target) != nil
            active.append(transfer)
            return nil
        }
        let index = active.firstIndex { $0.id == id }
        let transfer =
            index.map { active[$0] } ?? ActiveTransfer(id: id, source: "", target: "\(id)", size: nil, at: now)
        switch event.kind {
        case .started: return nil
        case .warning(let text): return .warning(transfer, text)
        case .retrying(let error, let delay):
            if let index {
                active[index].phase = .waiting
                active[index].retryAt = now + delay
            }
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
        case .phase, .size, .progress:
            if let index { update(index, event.kind, at: now) }
            return nil
        }
    }

    private mutating func update(_ index: Int, _ kind: TransferEvent.Kind, at now: Duration) {
        switch kind {
        case .phase(let phase):
            active[index].phase = phase
            if phase != .waiting { active[index].retryAt = nil }
        case .size(let size):
            if active[index].size == nil {
                unknownSizes -= 1
                plannedBytes = plannedBytes.addingCapped(size)
            }
            active[index].size = size
        case .progress(let done):
            let before = active[index].done
            active[index].done = done
            let isFirst = !active[index].hasBaseline
            active[index].hasBaseline = true
            guard !isFirst, done > before else { return }
            count(done - before, index, at: now)
        default: return
        }
    }

    private mutating func count(_ bytes: UInt64, _ index: Int, at now: Duration) {
        active[index].counted = active[index].counted.addingCapped(bytes)
        active[index].window.add(bytes, at: now)
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
        active.removeAll { $0.id == transfer.id }
    }
}
