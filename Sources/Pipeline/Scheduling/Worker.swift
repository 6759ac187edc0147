import SluiceBytes
import Synchronization

/// Takes transfers from the queue and runs them: the one way for `cp`, `run` and library users.
public final class Worker: Sendable {
    private struct Running {
        let claim: ClaimedTransfer
        let cancel: CancelSwitch
        let drain: Drain
        /// Known from the queue, or since the first look.
        var isLong: Bool
        /// What it reads together with its siblings, and as which of them.
        var share: (read: SharedRead, member: Int)?

        /// Asks for an end in good order.
        func stop() {
            if !drain.request() { cancel.cancel(.queued) }
        }
    }

    private struct State {
        var running: [TransferID: Running] = [:]
        var summary = WorkerSummary()
        var stopping = false
        /// When what still runs is cancelled.
        var stopBy: Duration?
        var fed: Bool
        /// Claimed ahead of a free slot.
        var ready: [ClaimedTransfer] = []
        /// What broke the queue under a transfer: nothing can go on.
        var failure: (any Error)?
        var slots: Slots
        var history: RunHistory

        var long: Int { running.values.count { $0.isLong } }
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
        let slots = Slots(usual: configuration.transfers, most: configuration.shortTransfers)
        let history = RunHistory(runs: configuration.runs, patience: resources.hosts.patience)
        state = Mutex(State(fed: isFed, slots: slots, history: history))
    }

    /// Rows were added: look again.
    public func noteAdded() { wakeUp.ring() }

    /// No more rows will be added.
    public func endFeed() {
        state.withLock { $0.fed = false }
        wakeUp.ring()
    }

    /// Stops claiming, lets parts in flight be saved for as long as the configuration's `grace`, and gives back what
    /// runs; `run` returns then. What was moved stays for the next run.
    public func stop() {
        let now = resources.time.now()
        let running = state.withLock { state in
            state.stopping = true
            state.stopBy = state.stopBy ?? now + configuration.grace
            return Array(state.running.values)
        }
        for entry in running { entry.stop() }
        wakeUp.ring()
    }

    /// Works until nothing is left to do (or for ever, if `watch`).
    ///
    /// - Parameter job: only this job's transfers; nil: any.
    /// - Throws: `SluiceError` when the queue itself fails; transfers' failures are in the summary and the events.
    ///   `CancellationError` when the task is cancelled; what ran was given back.
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
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                while try await goesOn() {
                    try await claimMore(job)
                    while let claims = takeReady() { start(claims, in: &group) }
                    if try await isOver(job, watch) { break }
                    await wakeUp.wait()
                }
                try await group.waitForAll()
            }
        } catch {
            // The first failure is the one to tell; leases that could not be given back run out by themselves.
            try? await releaseReady()
            throw error
        }
        try await releaseReady()
        let failure = state.withLock { state in
            state.summary.stopped = state.stopping
            return state.failure
        }
        if let failure { throw failure }
    }

    private func goesOn() async throws -> Bool {
        try Task.checkCancellation()
        let (stopping, failure) = state.withLock { ($0.stopping, $0.failure) }
        if let failure { throw failure }
        return !stopping
    }

    private func releaseReady() async throws {
        let ready = state.withLock { state in
            defer { state.ready = [] }
            return state.ready
        }
        if !ready.isEmpty { try await release(ready) }
    }

    /// The task may be cancelled, and the rows must change all the same: an unstructured task does not inherit that.
    @discardableResult
    private func release(_ claims: [ClaimedTransfer]) async throws -> [TransferID: TransferState] {
        try await Task(executorPreference: BlockingExecutor.shared) { [queue] in try await queue.release(claims) }.value
    }

    /// Short transfers are claimed ahead, so that a claim's sync is shared; long ones are left to other workers.
    private func claimMore(_ job: JobID?) async throws {
        let now = resources.time.now()
        let (free, ahead, claimed, running) = state.withLock { state in
            let slots = state.slots.count(long: state.long, at: now)
            let isShort = state.long < configuration.transfers
            let ahead = isShort ? min(64, state.slots.recentEnds(at: now)) : 0
            return (slots - state.running.count, ahead, state.ready, state.running.values.map(\.claim))
        }
        var ready = claimed
        if ahead == 0, ready.count > max(0, free) {
            try await releaseReady()
            ready = []
        }
        var hosts = Worker.load(running)
        // Those whose host is busy wait for it, and keep nothing from the other hosts.
        let startable = ready.count { hosts[$0.request.host, default: 0] < configuration.perHost ?? .max }
        guard free > startable else { return }
        for claim in ready { hosts[claim.request.host, default: 0] += 1 }
        // What is claimed now would come to a host that wants to be left alone, and go back.
        let perHost = configuration.perHost ?? (running.count + free + ahead)
        for host in resources.hosts.paused { hosts[host] = perHost }
        let claims = try await queue.claim(
            limit: free + ahead - startable,
            job: job,
            perHost: perHost,
            running: hosts
        )
        state.withLock { $0.ready += claims }
    }

    /// The next claim that may start: a slot is free, and its host is not busy with as many as it may have.
    ///
    /// - Returns: it, with those that read its source with it.
    private func takeReady() -> [ClaimedTransfer]? {
        let now = resources.time.now()
        return state.withLock { state in
            guard !state.stopping else { return nil }
            // In order: a long one that must wait is not overtaken for ever by the short ones behind it.
            guard let index = firstOfFreeHost(state),
                state.slots.mayStart(
                    size: state.ready[index].request.size,
                    beside: state.running.count,
                    long: state.long,
                    at: now
                )
            else { return nil }
            let first = state.ready.remove(at: index)
            guard let fanOut = first.request.fanOut else { return [first] }
            let isSibling = { (claim: ClaimedTransfer) in claim.job == first.job && claim.request.fanOut == fanOut }
            let siblings = state.ready.filter(isSibling)
            state.ready.removeAll(where: isSibling)
            return [first] + siblings
        }
    }

    private func firstOfFreeHost(_ state: State) -> Int? {
        guard let perHost = configuration.perHost else { return state.ready.indices.first }
        let hosts = Worker.load(state.running.values.map(\.claim))
        return state.ready.firstIndex { hosts[$0.request.host, default: 0] < perHost }
    }

    /// How many reads of each host there are: siblings share theirs.
    private static func load(_ claims: [ClaimedTransfer]) -> [String: Int] {
        struct Read: Hashable {
            let job: JobID
            let fanOut: Int64
        }
        var known: Set<Read> = []
        var hosts: [String: Int] = [:]
        for claim in claims {
            if let fanOut = claim.request.fanOut, !known.insert(Read(job: claim.job, fanOut: fanOut)).inserted {
                continue
            }
            hosts[claim.request.host, default: 0] += 1
        }
        return hosts
    }

    private func isOver(_ job: JobID?, _ watch: Bool) async throws -> Bool {
        let (idle, fed) = state.withLock { ($0.running.isEmpty && $0.ready.isEmpty, $0.fed) }
        guard idle else { return false }
        let outlook = try await queue.outlook(job: job)
        let nothingLeft = outlook.runnable == 0 && outlook.nextDue == nil && outlook.elsewhere == 0
        return !watch && !fed && nothingLeft
    }

    /// Starts claims that read one source together, or a single one.
    private func start(_ claims: [ClaimedTransfer], in group: inout ThrowingTaskGroup<Void, any Error>) {
        let hasDigest = claims.allSatisfy { $0.request.expectedSHA256 != nil }
        let read =
            claims.count > 1
            ? SharedRead(members: claims.count, resources: resources, hasDigest: hasDigest) : nil
        for (index, claim) in claims.enumerated() { start(claim, read.map { ($0, index) }, in: &group) }
    }

    private func start(
        _ claim: ClaimedTransfer,
        _ share: (read: SharedRead, member: Int)?,
        in group: inout ThrowingTaskGroup<Void, any Error>
    ) {
        let isLong = claim.request.size ?? 0 > Slots.shortObject
        let entry = Running(claim: claim, cancel: CancelSwitch(), drain: Drain(), isLong: isLong, share: share)
        let stopping = state.withLock { state in
            state.running[claim.id] = entry
            return state.stopping
        }
        // `stop` saw only what ran when it was called.
        if stopping { entry.stop() }
        // All that a transfer does may block: on the disk, on a sync, on SQLite.
        group.addTask(executorPreference: BlockingExecutor.shared) {
            var failure: (any Error)?
            do {
                // However it ends, its siblings wait for it no longer.
                defer { entry.share.map { $0.read.leave($0.member) } }
                try await self.perform(entry)
            } catch {
                failure = error
            }
            let now = self.resources.time.now()
            self.state.withLock { state in
                state.running[claim.id] = nil
                state.slots.ended(at: now)
                state.failure = state.failure ?? failure
            }
            self.wakeUp.ring()
        }
    }

    // MARK: - One transfer

    private func perform(_ entry: Running) async throws {
        let (claim, cancel) = (entry.claim, entry.cancel)
        let request = claim.request
        resources.events.publish(
            .started(source: request.source, target: request.target, size: request.size),
            of: claim.id
        )
        do {
            let outcome = try await cancel.guarding {
                let (source, target) = try await self.resolver.resolve(request)
                var resources = self.resources
                // What can be read only once cannot be run again.
                resources.hasQueue = source.readsAhead
                let runner = TransferRunner(
                    claim: claim,
                    source: source,
                    alternates: try self.resolver.alternates(of: request),
                    target: target,
                    journal: self.queue.journal(of: claim),
                    resources: resources,
                    limits: self.configuration.limits,
                    drain: entry.drain,
                    member: entry.share.map { $0.read.member($0.member, source) },
                    onSize: { size in self.state.withLock { $0.running[claim.id]?.isLong = size > Slots.shortObject } }
                )
                return try await runner.run()
            }
            try await queue.finish(claim, outcome)
            count(outcome, of: claim.id)
            resources.events.publish(.finished(outcome), of: claim.id)
        } catch let error as SluiceError where error.code == .superseded {
            resources.events.publish(.released(.running), of: claim.id)
        } catch {
            if error is CancellationError || Task.isCancelled {
                try await giveBack(claim)
            } else {
                try await end(claim, SluiceError.wrapping(error))
            }
        }
    }

    private func giveBack(_ claim: ClaimedTransfer) async throws {
        // The user may have changed his mind since his wish was heard of; nil: another worker has it.
        let reason = try await release([claim])[claim.id] ?? .running
        if reason == .paused || reason == .cancelled {
            state.withLock { state in
                state.summary.states[reason, default: 0] += 1
                state.summary.ended.insert(claim.id)
            }
        }
        resources.events.publish(.released(reason), of: claim.id)
    }

    private func end(_ claim: ClaimedTransfer, _ error: SluiceError) async throws {
        var error = error
        if case .after(let asked) = error.retry, asked > resources.hosts.longestPause { error.retry = .park }
        let wait = state.withLock { $0.history.retryAfter(claim, error) }
        do {
            try await queue.fail(claim, error, retryAfter: wait)
        } catch let lost as SluiceError where lost.code == .superseded {
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
            state.summary.ended.insert(claim.id)
        }
        resources.events.publish(.failed(error, parked: parked), of: claim.id)
    }

    private func count(_ outcome: TransferOutcome, of row: TransferID) {
        state.withLock { state in
            state.summary.ended.insert(row)
            state.summary.states[outcome.state, default: 0] += 1
            state.summary.bytes = state.summary.bytes.addingCapped(outcome.size)
            state.summary.moved = state.summary.moved.addingCapped(outcome.moved)
        }
    }

    // MARK: - Heartbeat

    private func beat() async throws {
        while true {
            try await resources.time.sleep(for: min(configuration.heartbeat, .seconds(1)))
            // New rows of other processes and due ones are noticed at this pace.
            wakeUp.ring()
            cancelOverdue()
            let claims = state.withLock { $0.running.values.map(\.claim) + $0.ready }
            guard !claims.isEmpty else { continue }
            let wishes = try await queue.heartbeat(claims)
            for (id, wish) in wishes {
                state.withLock { $0.running[id] }?.cancel.cancel(wish)
                try await giveBackReady(id)
            }
        }
    }

    /// The time to stop in good order is over.
    private func cancelOverdue() {
        let now = resources.time.now()
        let overdue = state.withLock { state in
            state.stopBy.map { now >= $0 } == true ? Array(state.running.values) : []
        }
        for entry in overdue { entry.cancel.cancel(.queued) }
    }

    /// A claim that waits for its slot was paused or cancelled.
    private func giveBackReady(_ id: TransferID) async throws {
        let claim = state.withLock { state in
            state.ready.firstIndex { $0.id == id }.map { state.ready.remove(at: $0) }
        }
        if let claim { try await giveBack(claim) }
    }
}
