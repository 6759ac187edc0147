import SluiceBytes
import Synchronization

/// One read of an object for several transfers that run side by side: every byte that more than one of them needs is
/// fetched once, and kept until the last of them has taken it.
///
/// `FanOutBoard` decides; here are the chunks, the fetches and those who wait. The read belongs to no member: one that
/// fails, is cancelled or ends leaves, and the fetches go on for the others.
public final class SharedRead: Sendable {
    /// A member's question for its next bytes.
    struct Request: Sendable {
        let member: Int
        let offset: UInt64
        let upper: UInt64
        let options: ReadOptions
        /// Whether the stream was cancelled meanwhile.
        let isOver: @Sendable () -> Bool
    }

    enum Answer: Sendable {
        case chunk(Chunk)
        case alone(ByteRange)
        case end
    }

    struct Waiter {
        /// The block whose failure is the waiter's too; nil: it waits for other members. The first look is block `.max`.
        let block: UInt64?
        let continuation: CheckedContinuation<Void, any Error>
    }

    enum Look {
        case none
        case underWay
        case done(ObjectInfo)
    }

    /// A block's number alone does not tell a fetch: a block that was let go of may be fetched anew.
    struct Fetch {
        let id: Int
        let task: Task<Void, Never>
    }

    struct State {
        /// Members that have not left.
        var members: Set<Int>
        /// Those that have not asked for the first look yet.
        var expected: Set<Int>
        var wantsBytes = false
        var demands: [Int: FanOutMemory.Demand] = [:]
        var allPaceWrites = true
        var look = Look.none
        /// Whether those that have come wait for others, but not for ever.
        var isPatient = false
        var source: (any SourceObject)?
        var board: FanOutBoard?
        var budgets: [Int: MemoryBudget] = [:]
        var reservation: MemoryReservation?
        var chunks: [UInt64: [(offset: UInt64, chunk: Chunk)]] = [:]
        /// The first look's stream, or the only one there is.
        var stream: (stream: any ByteStream, range: ByteRange)?
        /// What came of the only stream beyond the block that it filled.
        var leftover: Chunk?
        /// Why the only stream cannot go on.
        var failure: (any Error)?
        /// Fetches by block, the first look as block `.max`.
        var fetches: [UInt64: Fetch] = [:]
        /// The last failure of each block, for those who were about to wait for it.
        var failures: [UInt64: (version: Int, error: any Error)] = [:]
        var waiters: [Int: Waiter] = [:]
        var nextID = 0
        /// Rises with every change that someone may wait for.
        var version = 0
    }

    /// The block number of the first look, and of the wait for the members that are not there yet.
    static let lookBlock = UInt64.max
    static let patienceBlock = UInt64.max - 1
    /// How long the first look waits for members whose sinks do not answer.
    static let patience = Duration.seconds(10)

    let resources: PipelineResources
    let memory: FanOutMemory
    /// Whether a digest is demanded: then ranges of a source without a strong pin may be joined.
    let hasDigest: Bool
    let state: Mutex<State>

    /// A read for so many members, numbered from 0. They all run now: each of them opens, or leaves.
    public init(members: Int, resources: PipelineResources, hasDigest: Bool) {
        self.resources = resources
        self.hasDigest = hasDigest
        memory = FanOutMemory(total: resources.budget.total)
        let all = Set(0..<members)
        state = Mutex(State(members: all, expected: all))
    }

    /// The source for a member.
    public func member(_ id: Int, _ source: any SourceObject) -> FanOutMember { FanOutMember(id, source, self) }

    // MARK: - Members

    func announce(_ member: Int, _ demand: FanOutMemory.Demand, pacesWrites: Bool) {
        change { state in
            state.demands[member] = demand
            if !pacesWrites { state.allPaceWrites = false }
        }
    }

    /// A member's options for reads that are for all: at a pace if one of them needs it.
    func forAll(_ options: ReadOptions, _ source: any SourceObject) -> ReadOptions {
        var options = options
        options.gate = resources.readGate(of: source, pacesWrites: state.withLock { $0.allPaceWrites })
        return options
    }

    func budget(of member: Int) -> MemoryBudget? { state.withLock { $0.budgets[member] } }

    func setNeeds(_ member: Int, _ ranges: RangeSet) {
        change { $0.board?.setNeeds(member, ranges) }
    }

    func took(_ member: Int, _ range: ByteRange) {
        change { $0.board?.took(member, range) }
    }

    func wake() {
        change { _ in }
    }

    /// The member has ended, however it did: the others go on without it.
    public func leave(_ member: Int) {
        change { state in
            guard state.members.remove(member) != nil else { return }
            state.expected.remove(member)
            state.board?.leave(member)
            if let budget = state.budgets.removeValue(forKey: member), let reservation = state.reservation {
                reservation.shrink(to: reservation.held - min(reservation.held, budget.total.bytes))
            }
        }
    }

    // MARK: - Bytes

    /// The member's next bytes, once there are some for it.
    func next(_ request: Request) async throws -> Answer {
        try await wait { state in
            if request.isOver() { throw CancellationError() }
            defer { readAhead(&state, request.options) }
            let step = state.board?.step(request.member, at: request.offset, below: request.upper)
            switch step {
            case nil: return .ready(.alone(ByteRange(request.offset, request.upper)))
            case .end: return .ready(.end)
            case .alone(let range): return .ready(.alone(range))
            case .wait(let block):
                // Let through as the probe of a host that failed, it must not keep those from it that it waits for.
                if block == nil { state.source.map { resources.hosts.abandoned($0.host) } }
                return .wait(block)
            case .take(let block): return .ready(.chunk(try take(block, request, &state)))
            case .fetch(let block, let range):
                if let failure = state.failure {
                    state.board?.ended(block)
                    throw failure
                }
                state.start(block) { id in await self.fetch(block, id, range, request.options) }
                return .wait(block)
            }
        }
    }

    /// With so many connections as a member alone might have.
    private func readAhead(_ state: inout State, _ options: ReadOptions) {
        let most = state.demands.values.map(\.limits.connections).max() ?? 1
        while let (block, range) = state.board?.ahead(most: most) {
            state.start(block) { id in await self.fetch(block, id, range, options) }
        }
    }

    private func take(_ block: UInt64, _ request: Request, _ state: inout State) throws -> Chunk {
        guard
            let kept = state.chunks[block]?.last(where: { $0.offset <= request.offset }),
            kept.offset + UInt64(kept.chunk.count) > request.offset
        else { throw SluiceError(.internalFault, "block \(block) lacks the byte at \(request.offset)") }
        let rest = kept.chunk.dropFirst(Int(request.offset - kept.offset))
        let chunk = rest.prefix(Int(min(UInt64(rest.count), request.upper - request.offset)))
        state.board?.took(request.member, ByteRange(request.offset, request.offset + UInt64(chunk.count)))
        return chunk
    }

    // MARK: - Changes and waits

    enum Attempt<R: Sendable> {
        case ready(R)
        case wait(UInt64?)
    }

    /// Changes the state, lets go of what nobody needs any more, and wakes everyone who waits.
    func change(_ body: (inout State) -> Void) {
        let (woken, useless) = state.withLock { state in
            body(&state)
            state.version += 1
            defer { state.waiters = [:] }
            return (Array(state.waiters.values), state.sweep())
        }
        useless.cancel()
        for waiter in woken { waiter.continuation.resume() }
    }

    /// Asks again at every change until there is an answer.
    ///
    /// - Throws: what `attempt` throws, or the failure of the block that it waits for.
    func wait<R: Sendable>(_ attempt: (inout State) throws -> Attempt<R>) async throws -> R {
        while true {
            var answer: R?
            var block: UInt64?
            var version = 0
            var useless = Useless()
            try state.withLock { state in
                switch try attempt(&state) {
                case .ready(let ready): answer = ready
                case .wait(let named): block = named
                }
                version = state.version
                useless = state.sweep()
            }
            useless.cancel()
            if let answer {
                // What was taken may be what others wait for.
                wake()
                return answer
            }
            try await sleep(on: block, since: version)
        }
    }

    private func sleep(on block: UInt64?, since version: Int) async throws {
        let id = state.withLock { $0.newID() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    // The handler takes the same lock: it ran before, and is seen here, or it finds the waiter.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if let failure = state.failures[block ?? 0], block != nil, failure.version > version {
                        return .failure(failure.error)
                    }
                    if state.version != version { return .success(()) }
                    state.waiters[id] = Waiter(block: block, continuation: continuation)
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: id) }
            waiter?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Tells those who wait for a block that it failed; the others ask again.
    func fail(_ block: UInt64, _ error: any Error, _ body: (inout State) -> Void) {
        let (woken, useless) = state.withLock { state in
            body(&state)
            state.version += 1
            state.failures[block] = (state.version, error)
            defer { state.waiters = [:] }
            return (Array(state.waiters.values), state.sweep())
        }
        useless.cancel()
        for waiter in woken {
            if waiter.block == block {
                waiter.continuation.resume(throwing: error)
            } else {
                waiter.continuation.resume()
            }
        }
    }
}

/// What is to be ended outside the lock.
struct Useless {
    var tasks: [Task<Void, Never>] = []
    var stream: (any ByteStream)?

    func cancel() {
        for task in tasks { task.cancel() }
        stream?.cancel()
    }
}

extension SharedRead.State {
    mutating func newID() -> Int {
        nextID += 1
        return nextID
    }

    /// Starts what brings a block, apart from the task that asked for it.
    mutating func start(_ block: UInt64, _ body: @escaping @Sendable (Int) async -> Void) {
        let id = newID()
        failures[block] = nil
        let task = Task(executorPreference: BlockingExecutor.shared) { await body(id) }
        fetches[block] = SharedRead.Fetch(id: id, task: task)
    }

    /// Forgets what no member needs.
    mutating func sweep() -> Useless {
        var useless = Useless()
        let swept = board?.sweep() ?? (useless: [], spent: [])
        for block in swept.spent { chunks[block] = nil }
        for block in swept.useless {
            chunks[block] = nil
            if let fetch = fetches.removeValue(forKey: block) { useless.tasks.append(fetch.task) }
        }
        if members.isEmpty {
            useless.tasks += fetches.values.map(\.task)
            fetches = [:]
            chunks = [:]
            leftover = nil
            reservation = nil
        }
        if let first = stream, members.isEmpty || board.map({ !$0.isSequential && !$0.isNeeded(first.range) }) == true {
            useless.stream = first.stream
            stream = nil
        }
        return useless
    }
}
