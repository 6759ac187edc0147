import SluiceBytes
import Synchronization

/// Moves the missing parts of an object whose ranges can be read: several lanes, the lowest missing part first.
///
/// A lane reserves memory, takes a segment, fetches it (again from where it broke off, if it broke off), and the lane
/// that brings a part's last byte completes the part: uploads it, waits for the hash, writes the journal.
final class PartMover: Sendable {
    private struct Work {
        let segment: PartBoard.Segment
        let assembly: PartAssembly
        /// The window of a second connection for one part; nil where the part's own memory covers it.
        var window: MemoryReservation?
    }

    /// How the fetch of a segment ended, where trying again is not for the source's retries to decide.
    private enum Fetched {
        case whole
        /// The sink, the hash or the comparison failed, with bytes that are booked and will not come again.
        case undelivered(any Error)
    }

    let context: MoveContext
    let session: any SinkSession
    let plan: PartPlan
    let frontier: DigestFrontier
    private let lanes: LaneGate
    private let connections: ConnectionGate
    private let turnstile = Turnstile()
    let order: Sequencer
    let board: Mutex<PartBoard>
    let assemblies = Mutex<[Int: PartAssembly]>([:])
    private let look: FirstLook
    let receipts: Mutex<[Int: PartReceipt]>
    /// CRC32C of parts that are fetched but not in the journal, from the earlier attempt and from this one.
    let fetchedCRCs: Mutex<[Int: Digest]>
    let held = Mutex<[MemoryReservation]>([])
    /// SHA-256 of the parts that were in memory here, if they may have to be compared with another origin's.
    let partDigests = Mutex<[Int: Digest]>([:])

    init(
        _ context: MoveContext,
        session: any SinkSession,
        plan: PartPlan,
        frontier: DigestFrontier,
        receipts: [PartReceipt],
        hashedParts: [Int: Digest],
        look: FirstLook
    ) {
        self.context = context
        self.session = session
        self.plan = plan
        self.frontier = frontier
        self.look = look
        self.receipts = Mutex(Dictionary(receipts.map { ($0.part.index, $0) }) { first, _ in first })
        fetchedCRCs = Mutex(hashedParts)
        let done = Set(receipts.map(\.part.index))
        board = Mutex(PartBoard(plan: plan, done: done))
        order = Sequencer(first: (0..<plan.count).first { !done.contains($0) } ?? plan.count)
        let most = PartMover.mostLanes(context.limits, context.capabilities, isShared: context.isShared)
        let initial = context.capabilities.shape == .positioned ? 2 : most
        lanes = LaneGate(initial: initial, maximum: min(most, plan.count + 1))
        // A lane of a shared read may wait for other members, and must keep no connection from another lane meanwhile.
        let known = context.isShared ? nil : context.resources.hosts.connectionLimit(context.source.host)
        connections = ConnectionGate(limit: known)
        if let known { lanes.follow(connections: known) }
    }

    /// A shared read has connections of its own and reads ahead. More than one lane would only bring a file its bytes
    /// ahead of the hash, to be read back.
    static func mostLanes(_ limits: TransferLimits, _ capabilities: SinkCapabilities, isShared: Bool) -> Int {
        isShared && capabilities.shape == .positioned ? 1 : limits.connections
    }

    var isPositioned: Bool { context.capabilities.shape == .positioned }

    /// Moves everything and returns all receipts in part order.
    func run() async throws -> [PartReceipt] {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<context.limits.connections {
                group.addTask { try await self.runLane(index) }
            }
            do {
                // Not waitForAll: it waits for the others before it throws, and they may wait for what just failed.
                while try await group.next() != nil {}
            } catch {
                // Lanes may wait for a hash, a turn or an admission that will not come any more.
                frontier.fail(error)
                order.fail(error)
                lanes.finish()
                connections.finish()
                throw error
            }
        }
        let isWhole = receipts.withLock { $0.count == plan.count }
        // Told to stop: what was in flight is in the journal, the rest is left to a later run.
        guard isWhole else { throw CancellationError() }
        return receipts.withLock { receipts in receipts.values.sorted { $0.part.index < $1.part.index } }
    }

    /// Memory that must stay admitted until the commit: the part of a single-part object.
    var reservationsUntilCommit: [MemoryReservation] { held.withLock { $0 } }

    private func runLane(_ index: Int) async throws {
        while await lanes.admit(index) {
            guard let work = try await takeWork() else { break }
            if case .undelivered(let error) = try await fetch(work) { throw error }
            work.window?.release()
            if board.withLock({ $0.close(work.segment) }) { try await complete(work.assembly) }
        }
        lanes.finish()
    }

    // MARK: - Taking work

    private func takeWork() async throws -> Work? {
        let fresh: Work? = try await turnstile.pass {
            guard board.withLock({ $0.hasMissing }), !context.drain.isRequested else { return nil }
            let admitted = look.takeMemory(memoryPerPart)
            let reservation =
                if let admitted { admitted } else { try await context.resources.budget.reserve(memoryPerPart) }
            guard !context.drain.isRequested, let segment = board.withLock({ $0.takeLowestMissing() })
            else { return nil }
            let assembly = PartAssembly(
                part: segment.part,
                keepsChunks: !isPositioned,
                reservation: reservation
            )
            assemblies.withLock { $0[segment.part.index] = assembly }
            return Work(segment: segment, assembly: assembly)
        }
        if let fresh { return fresh }
        return context.drain.isRequested ? nil : stealWork()
    }

    /// Helps with a part in flight, if the host takes another connection, and there is memory for its window now:
    /// waiting for it would take longer than the part does.
    private func stealWork() -> Work? {
        let window = UInt64(PartMover.windowChunks * BufferPool.chunkCapacity)
        guard !context.isShared, connections.hasRoom, board.withLock({ $0.canSteal }),
            let reservation = context.resources.budget.tryReserve(window),
            let stolen = board.withLock({ $0.steal() }),
            let assembly = assemblies.withLock({ $0[stolen.part.index] })
        else { return nil }
        return Work(segment: stolen, assembly: assembly, window: reservation)
    }

    private var memoryPerPart: UInt64 {
        PartMover.memory(part: min(plan.partSize, plan.size), isPositioned: isPositioned)
    }

    /// Whole parts live in memory; a file needs the window, the chunk that fills, and the one that is written.
    static func memory(part: UInt64, isPositioned: Bool) -> UInt64 {
        let chunk = UInt64(BufferPool.chunkCapacity)
        let part = (part + chunk - 1) / chunk * chunk + chunk
        return isPositioned ? min(part, UInt64(PartMover.windowChunks) * chunk) : part
    }

    /// Two chunks that wait unread, the one that fills, and the one that is written.
    private static let windowChunks = 4

    /// Chunks of a file that may wait in memory for the hash, while memory is free: a quarter of all, for others come.
    private var chunksAhead: Int {
        Int(clamping: min(64, context.resources.budget.total.bytes / UInt64(BufferPool.chunkCapacity) / 4))
    }

    // MARK: - Fetching

    private func fetch(_ work: Work) async throws -> Fetched {
        let segment = work.segment
        try await connections.enter(for: segment.part.index)
        defer { connections.leave() }
        return try await context.retrying.run(
            host: context.source.host,
            object: context.source.location,
            progress: { board.withLock { $0.remainder(of: segment).lower } },
            mayGiveUpSlot: { [connections] in connections.isIdle },
            // A connection that was stale says nothing of how many the host bears.
            onFailure: { if $0.retry != .immediately, [.throttled, .network].contains($0.code) { lanes.backOff() } },
            {
                while true {
                    let rest = board.withLock { $0.remainder(of: segment) }
                    if rest.isEmpty { return .whole }
                    do {
                        if case .undelivered(let error) = try await consume(rest, work) { return .undelivered(error) }
                    } catch {
                        try await waitForTurn(segment, after: error, of: rest)
                    }
                }
            }
        )
    }

    /// A connection that brought nothing while others are served is one too many. Its turn comes when one of those
    /// ends; to ask again before would be refused again, and to wait for a time would leave the host idle.
    private func waitForTurn(_ segment: PartBoard.Segment, after error: any Error, of rest: ByteRange) async throws {
        guard !context.isShared, let failure = error as? SluiceError, failure.mayMeanTooMany,
            board.withLock({ $0.remainder(of: segment).lower }) == rest.lower, let limit = connections.refused()
        else { throw error }
        follow(limit)
        let (host, hosts) = (context.source.host, context.resources.hosts)
        hosts.abandoned(host)
        connections.leave()
        try await connections.enter(for: segment.part.index)
        try await hosts.admit(host)
    }

    private func follow(_ limit: Int) {
        lanes.follow(connections: limit)
        context.resources.hosts.noteConnectionLimit(limit, of: context.source.host)
    }

    private func consume(_ rest: ByteRange, _ work: Work) async throws -> Fetched {
        let (stream, range) = try await openStream(rest)
        if let limit = connections.beginServed() { follow(limit) }
        defer { connections.endServed() }
        var offset = rest.lower
        do {
            while let chunk = try await stream.next() {
                context.meter.received(chunk.count)
                let own = board.withLock { $0.accept(chunk.count, for: work.segment) }
                do {
                    if own > 0 { try await deliver(chunk.prefix(own), at: offset, work.assembly) }
                } catch {
                    stream.cancel()
                    return .undelivered(error)
                }
                offset += UInt64(chunk.count)
                lanes.received(UInt64(own), now: context.resources.time.now())
                // Another lane took the rest: this connection has nothing more for us.
                if own < chunk.count || (own == chunk.count && isTaken(work.segment, before: range.upper)) {
                    stream.cancel()
                    return .whole
                }
            }
        } catch {
            stream.cancel()
            throw error
        }
        guard offset > rest.lower else {
            throw SluiceError(.truncated, "no bytes came of \(rest)", retry: .backoff)
        }
        return .whole
    }

    private func isTaken(_ segment: PartBoard.Segment, before upper: UInt64) -> Bool {
        let rest = board.withLock { $0.remainder(of: segment) }
        return rest.isEmpty && rest.upper < upper
    }

    private func openStream(_ rest: ByteRange) async throws -> (stream: any ByteStream, range: ByteRange) {
        if let first = look.takeStream(from: rest.lower) { return first }
        return (try await context.source.read(rest, of: context.info, options: context.readOptions), rest)
    }

    private func deliver(_ chunk: Chunk, at offset: UInt64, _ assembly: PartAssembly) async throws {
        if isPositioned {
            try await session.write(chunk, at: offset)
            context.meter.settle(UInt64(chunk.count))
        }
        let isWhole = assembly.add(chunk, at: offset)
        // The CRC is known before the hash can pass the part's end: see `journalled`.
        if isWhole, !isPositioned { try noteCRC(assembly) }
        try await frontier.offer(waiting(chunk, at: offset), at: offset)
    }

    /// A chunk of a file that is ahead of the hash waits in memory if some is free now: reading it back from the page
    /// cache costs another copy. Nothing waits for that memory, and whoever queues for some is served first.
    private func waiting(_ chunk: Chunk, at offset: UInt64) -> DigestFrontier.Item {
        guard isPositioned, offset > frontier.position else { return .memory(chunk) }
        guard frontier.chunksHeld < chunksAhead,
            let room = context.resources.budget.tryReserve(UInt64(BufferPool.chunkCapacity))
        else { return .stored(ByteRange(offset, offset + UInt64(chunk.count))) }
        return .memory(chunk, admitted: room)
    }

    private func noteCRC(_ assembly: PartAssembly) throws {
        let crc = RunningDigest.hash(.crc32c, of: assembly.orderedChunks)
        let earlier = fetchedCRCs.withLock { $0.updateValue(crc, forKey: assembly.part.index) }
        guard let earlier, earlier != crc else { return }
        throw SluiceError(
            .sourceChanged,
            object: context.source.location,
            "part \(assembly.part.index) was \(earlier) when it was hashed and is \(crc) now",
            remedy: "the transfer starts over",
            retry: .restart
        )
    }
}
