import SluiceBytes
import Synchronization

/// Moves an object that can only be read once, from its first byte to its end: a pipe, a server without ranges, a
/// body of unknown length. Nothing of it can be resumed; writes of parts still overlap with the reading.
final class SequentialMover: Sendable {
    /// What was moved.
    struct Result: Sendable {
        let session: any SinkSession
        let size: UInt64
        let receipts: [PartReceipt]
        let reservations: [MemoryReservation]
    }

    private struct Gathered {
        let chunks: [Chunk]
        let count: UInt64
        let isLast: Bool
    }

    private let context: MoveContext
    private let look: FirstLook
    private let frontier: DigestFrontier
    private let basePart: UInt64
    private let begin: @Sendable (UInt64?) async throws -> any SinkSession
    private let leftover = Mutex<Chunk?>(nil)
    private let order = Sequencer()

    /// - Parameter begin: starts the sink session, told the length if it is known by then.
    init(
        _ context: MoveContext,
        look: FirstLook,
        frontier: DigestFrontier,
        partSize: UInt64,
        begin: @escaping @Sendable (UInt64?) async throws -> any SinkSession
    ) {
        self.context = context
        self.look = look
        self.frontier = frontier
        basePart = partSize
        self.begin = begin
    }

    func run() async throws -> Result {
        do {
            let isPositioned = context.capabilities.shape == .positioned
            let bytes = isPositioned ? SequentialMover.memory(part: 0, isPositioned: true) : memoryPerPart(0)
            let admitted = look.takeMemory(bytes)
            let memory = if let admitted { admitted } else { try await context.resources.budget.reserve(bytes) }
            let stream = try await openStream()
            defer { stream.cancel() }
            return isPositioned ? try await runPositioned(stream, memory) : try await runParts(stream, memory)
        } catch {
            frontier.fail(error)
            throw error
        }
    }

    /// The read that came with the first look if it goes to the end, else one of its own.
    private func openStream() async throws -> any ByteStream {
        let end = context.info.size ?? .max
        if let first = look.takeStream(from: 0, to: end) { return first.stream }
        look.drop()
        return try await context.source.read(ByteRange(0, end), of: context.info, options: context.readOptions)
    }

    private func runPositioned(_ stream: any ByteStream, _ reservation: MemoryReservation) async throws -> Result {
        let session = try await begin(context.info.size)
        do {
            var offset: UInt64 = 0
            while let chunk = try await nextChunk(stream) {
                try await session.write(chunk, at: offset)
                try await frontier.offer(.memory(chunk), at: offset)
                context.meter.settle(UInt64(chunk.count))
                offset += UInt64(chunk.count)
            }
            return Result(session: session, size: offset, receipts: [], reservations: [reservation])
        } catch {
            await context.discard(session, after: error)
            throw error
        }
    }

    private func runParts(_ stream: any ByteStream, _ memory: MemoryReservation) async throws -> Result {
        var reservation = memory
        let first = try await gather(0, at: 0, of: stream)
        let session = try await begin(first.isLast ? first.count : context.info.size)
        do {
            if first.isLast {
                let receipt = try await write(first, index: 0, at: 0, to: session)
                return Result(
                    session: session,
                    size: first.count,
                    receipts: [receipt],
                    reservations: [reservation]
                )
            }
            return try await withThrowingTaskGroup(of: PartReceipt.self) { group in
                var receipts: [PartReceipt] = []
                var current = first
                var index = 0
                var offset: UInt64 = 0
                do {
                    while true {
                        if index >= context.limits.connections, let receipt = try await group.next() {
                            receipts.append(receipt)
                        }
                        let (part, at, number, held) = (current, offset, index, reservation)
                        group.addTask {
                            defer { held.release() }
                            return try await self.write(part, index: number, at: at, to: session)
                        }
                        offset += current.count
                        index += 1
                        if current.isLast { break }
                        guard index < context.capabilities.maximumParts else { throw tooLong(offset) }
                        reservation = try await context.resources.budget.reserve(memoryPerPart(index))
                        current = try await gather(index, at: offset, of: stream)
                        if current.count == 0 {
                            reservation.release()
                            break
                        }
                    }
                    for try await receipt in group { receipts.append(receipt) }
                } catch {
                    order.fail(error)
                    frontier.fail(error)
                    throw error
                }
                receipts.sort { $0.part.index < $1.part.index }
                return Result(session: session, size: offset, receipts: receipts, reservations: [])
            }
        } catch {
            await context.discard(session, after: error)
            throw error
        }
    }

    private func tooLong(_ offset: UInt64) -> SluiceError {
        SluiceError(
            .unsupported,
            object: context.target.location,
            "more than \(offset) bytes came, and the sink takes \(context.capabilities.maximumParts) parts",
            remedy: "give a larger --part-size"
        )
    }

    private func partSize(_ index: Int) -> UInt64 {
        if let size = context.info.size, context.capabilities.shape == .parts, size > 0 { return basePart }
        return PartPlan.growingPartSize(index, base: basePart, context.capabilities)
    }

    private func memoryPerPart(_ index: Int) -> UInt64 {
        SequentialMover.memory(part: min(partSize(index), context.info.size ?? .max), isPositioned: false)
    }

    /// The part, and the chunks that fill and wait; a file has no parts.
    static func memory(part: UInt64, isPositioned: Bool) -> UInt64 {
        (isPositioned ? 0 : part) + (isPositioned ? 4 : 2) * UInt64(BufferPool.chunkCapacity)
    }

    /// Reads up to a part's length; chunks are cut at the boundary without a copy.
    private func gather(_ index: Int, at start: UInt64, of stream: any ByteStream) async throws -> Gathered {
        let wanted = partSize(index)
        var chunks: [Chunk] = []
        var count: UInt64 = 0
        while count < wanted {
            guard let chunk = try await nextChunk(stream) else {
                return Gathered(chunks: chunks, count: count, isLast: true)
            }
            let own = chunk.prefix(Int(min(UInt64(chunk.count), wanted - count)))
            if own.count < chunk.count { leftover.withLock { $0 = chunk.dropFirst(own.count) } }
            try await frontier.offer(.memory(own), at: start + count)
            chunks.append(own)
            count += UInt64(own.count)
        }
        let isLast = start + count == context.info.size
        // Only the stream's own end proves that the announced length was all.
        if isLast, try await nextChunk(stream) != nil {
            throw SluiceError(
                .badAnswer,
                object: context.source.location,
                "more than the announced \(start + count) bytes came"
            )
        }
        return Gathered(chunks: chunks, count: count, isLast: isLast)
    }

    private func nextChunk(_ stream: any ByteStream) async throws -> Chunk? {
        let rest = leftover.withLock { leftover in
            defer { leftover = nil }
            return leftover
        }
        if let rest { return rest }
        let chunk = try await stream.next()
        context.meter.received(chunk?.count ?? 0)
        return chunk
    }

    private func write(
        _ gathered: Gathered,
        index: Int,
        at offset: UInt64,
        to session: any SinkSession
    ) async throws -> PartReceipt {
        let part = Part(index: index, range: ByteRange(offset, offset + gathered.count))
        let (crc, others) = context.digests(of: gathered.chunks)
        if context.capabilities.shape == .ordered { try await order.wait(for: index) }
        let receipt = try await context.upload(part, gathered.chunks, crc32c: crc, others: others, to: session)
        if context.capabilities.shape == .ordered { order.advance(past: index) }
        return receipt
    }
}
