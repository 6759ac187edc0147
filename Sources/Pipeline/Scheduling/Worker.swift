import Synchronization

/// How a worker works.
public struct WorkerConfiguration: Sendable {
    /// Most transfers at once.
    public var transfers: Int
    /// Most transfers at once of one host.
    public var perHost: Int
    /// Limits of each transfer.
    public var limits: TransferLimits
    /// How often leases are renewed and the user's wishes are read.
    public var heartbeat: Duration
    /// How many runs a transfer gets before a failure that a retry could help is final.
    public var runs: Int

    /// The defaults: 4 transfers, a heartbeat every 5 s, 5 runs.
    public init(
        transfers: Int = 4,
        perHost: Int? = nil,
        limits: TransferLimits = TransferLimits(),
        heartbeat: Duration = .seconds(5),
        runs: Int = 5
    ) {
        self.transfers = max(1, transfers)
        self.perHost = perHost ?? max(1, transfers)
        self.limits = limits
        self.heartbeat = heartbeat
        self.runs = runs
    }
}

/// How the transfers of a run ended.
public struct WorkerSummary: Sendable {
    /// Ends by state.
    public var states: [TransferState: Int] = [:]
    /// Failures by code.
    public var failures: [SluiceError.Code: Int] = [:]
    /// Bytes of the objects that are proven at their sinks.
    public var bytes: UInt64 = 0
    /// Bytes fetched.
    public var moved: UInt64 = 0
    /// Whether it was stopped before the queue was empty.
    public var stopped = false

    /// A summary of nothing.
    public init() {}
}

/// Takes transfers from the queue and runs them: the one way for `cp`, `run` and library users.
public final class Worker: Sendable {
    private struct Running {
        let claim: ClaimedTransfer
        let cancel: CancelSwitch
    }

    private struct State {
        var running: [TransferID: Running] = [:]
        var summary = WorkerSummary()
        var stopping = false
        var fed: Bool
        var recentEnds: [Duration] = []
    }

    private let queue: any TransferQueue
    private let resolver: any TransferResolver
    private let configuration: WorkerConfiguration
    private let resources: PipelineResources
    private let wakeUp = WakeUp()
    private let state: Mutex<State>

    /// - Parameter isFed: rows are still being added; `endFeed` says when that is over.
    public init(
        queue: any TransferQueue,
        resolver: any TransferResolver,
        configuration: WorkerConfiguration,
        resources: PipelineResources,
        isFed: Bool = false
    ) {
        self.queue = queue
        self.resolver = resolver
        self.configuration = configuration
        self.resources = resources
        state = Mutex(State(fed: isFed))
    }

    /// Rows were added: look again.
    public func noteAdded() { wakeUp.ring() }

    /// No more rows will be added.
    public func endFeed() {
        state.withLock { $0.fed = false }
        wakeUp.ring()
    }

    /// Stops claiming and gives back what runs; `run` returns soon after. What was moved stays for the next run.
    public func stop() {
        let running = state.withLock { state in
            state.stopping = true
            return Array(state.running.values)
        }
        for entry in running { entry.cancel.cancel(.queued) }
        wakeUp.ring()
    }

    /// Works until nothing is left to do (or for ever, if `watch`).
    ///
    /// - Parameter job: only this job's transfers; nil: any.
    /// - Throws: `SluiceError` when the queue itself fails; transfers' failures are in the summary and the events.
    public func run(job: JobID?, watch: Bool = false) async throws -> WorkerSummary {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.beat() }
            group.addTask { try await self.dispatch(job, watch) }
            // The dispatcher ends first, or the heartbeat fails: either ends the other.
            defer { group.cancelAll() }
            try await group.next()
        }
        return state.withLock { $0.summary }
    }

    // MARK: - Dispatch

    private func dispatch(_ job: JobID?, _ watch: Bool) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            var ready: [ClaimedTransfer] = []
            while true {
                let stopping = state.withLock { $0.stopping }
                if stopping {
                    try await queue.release(ready)
                    break
                }
                if ready.count < configuration.transfers, freeSlots > ready.count {
                    ready += try await claim(job, limit: freeSlots + claimAhead - ready.count, ready)
                }
                while freeSlots > 0, !ready.isEmpty { start(ready.removeFirst(), in: &group) }
                if try await isOver(job, watch, ready) { break }
                await wakeUp.wait()
            }
            try await group.waitForAll()
        }
        state.withLock { $0.summary.stopped = $0.stopping }
    }

    private var freeSlots: Int { state.withLock { configuration.transfers - $0.running.count } }

    /// Short transfers are claimed ahead, so that a claim's sync is shared; long ones are left to other workers.
    private var claimAhead: Int {
        let now = resources.time.now()
        return state.withLock { state in
            state.recentEnds.removeAll { now - $0 > .seconds(1) }
            return min(64, state.recentEnds.count)
        }
    }

    private func claim(_ job: JobID?, limit: Int, _ ready: [ClaimedTransfer]) async throws -> [ClaimedTransfer] {
        var hosts: [String: Int] = [:]
        let running = state.withLock { $0.running.values.map(\.claim) }
        for claim in running + ready { hosts[claim.request.host, default: 0] += 1 }
        return try await queue.claim(
            limit: limit,
            job: job,
            perHost: configuration.perHost + claimAhead,
            running: hosts
        )
    }

    private func isOver(_ job: JobID?, _ watch: Bool, _ ready: [ClaimedTransfer]) async throws -> Bool {
        let (idle, fed) = state.withLock { ($0.running.isEmpty, $0.fed) }
        guard idle, ready.isEmpty else { return false }
        let outlook = try await queue.outlook(job: job)
        let nothingLeft = outlook.runnable == 0 && outlook.nextDue == nil && outlook.elsewhere == 0
        return !watch && !fed && nothingLeft
    }

    private func start(_ claim: ClaimedTransfer, in group: inout ThrowingTaskGroup<Void, any Error>) {
        let cancel = CancelSwitch()
        state.withLock { $0.running[claim.id] = Running(claim: claim, cancel: cancel) }
        group.addTask {
            try await self.perform(claim, cancel)
            let now = self.resources.time.now()
            self.state.withLock { state in
                state.running[claim.id] = nil
                state.recentEnds.append(now)
            }
            self.wakeUp.ring()
        }
    }

    // MARK: - One transfer

    private func perform(_ claim: ClaimedTransfer, _ cancel: CancelSwitch) async throws {
        let request = claim.request
        resources.events.publish(
            .started(source: request.source, target: request.target, size: request.size),
            of: claim.id
        )
        do {
            let outcome = try await cancel.guarding {
                let (source, target) = try await self.resolver.resolve(request)
                let runner = TransferRunner(
                    claim: claim,
                    source: source,
                    target: target,
                    journal: self.queue.journal(of: claim),
                    resources: self.resources,
                    limits: self.configuration.limits
                )
                return try await runner.run()
            }
            try await queue.finish(claim, outcome)
            count(outcome)
            resources.events.publish(.finished(outcome), of: claim.id)
        } catch let error as SluiceError where error.code == .leased {
            resources.events.publish(.released(.running), of: claim.id)
        } catch {
            if error is CancellationError || Task.isCancelled {
                try await giveBack(claim, cancel.reason ?? .queued)
            } else {
                try await end(claim, SluiceError.wrapping(error))
            }
        }
    }

    private func giveBack(_ claim: ClaimedTransfer, _ reason: TransferState) async throws {
        // The task is cancelled, and the row must change all the same: an unstructured task does not inherit that.
        let queue = queue
        try await Task(executorPreference: BlockingExecutor.shared) { try await queue.release([claim]) }.value
        if reason != .queued { state.withLock { $0.summary.states[reason, default: 0] += 1 } }
        resources.events.publish(.released(reason), of: claim.id)
    }

    private func end(_ claim: ClaimedTransfer, _ error: SluiceError) async throws {
        let wait = retryAfter(claim, error)
        do {
            try await queue.fail(claim, error, retryAfter: wait)
        } catch let lost as SluiceError where lost.code == .leased {
            resources.events.publish(.released(.running), of: claim.id)
            return
        }
        if let wait {
            resources.events.publish(.retrying(error: error, after: wait), of: claim.id)
            resources.events.publish(.phase(.waiting), of: claim.id)
            return
        }
        let parked = error.retry == .park
        state.withLock { state in
            state.summary.states[parked ? .parked : .failed, default: 0] += 1
            state.summary.failures[error.code, default: 0] += 1
        }
        resources.events.publish(.failed(error, parked: parked), of: claim.id)
    }

    /// When the transfer runs again as a whole; nil: not by itself.
    private func retryAfter(_ claim: ClaimedTransfer, _ error: SluiceError) -> Duration? {
        guard claim.attempts + 1 < configuration.runs else { return nil }
        switch error.retry {
        case .never, .park: return nil
        case .immediately: return .zero
        case .restart: return claim.attempts < 2 ? .zero : nil
        case .after(let wait): return wait
        case .backoff: return .seconds(5) * (1 << min(6, claim.attempts))
        }
    }

    private func count(_ outcome: TransferOutcome) {
        state.withLock { state in
            state.summary.states[outcome.state, default: 0] += 1
            state.summary.bytes += outcome.size
            state.summary.moved += outcome.moved
        }
    }

    // MARK: - Heartbeat

    private func beat() async throws {
        while true {
            try await resources.time.sleep(for: min(configuration.heartbeat, .seconds(1)))
            // New rows of other processes and due ones are noticed at this pace.
            wakeUp.ring()
            let running = state.withLock { Array($0.running.values) }
            guard !running.isEmpty else { continue }
            let wishes = try await queue.heartbeat(running.map(\.claim))
            for entry in running {
                if let wish = wishes[entry.claim.id] { entry.cancel.cancel(wish) }
            }
        }
    }
}
