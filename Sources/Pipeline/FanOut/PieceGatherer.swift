import SluiceBytes

/// Copies small pieces together into whole buffers.
final class PieceGatherer {
    private let pool: BufferPool
    private var builder: ChunkBuilder?

    init(pool: BufferPool) {
        self.pool = pool
    }

    /// Bytes that wait for more.
    var count: UInt64 { UInt64(builder?.count ?? 0) }

    /// What is to be kept now; a piece of half a buffer is not copied.
    func add(_ piece: Chunk, isLast: Bool) -> [Chunk] {
        var ready: [Chunk] = []
        if builder == nil, piece.count >= BufferPool.chunkCapacity / 2 || isLast {
            return piece.count > 0 ? [piece] : []
        }
        var rest = piece
        while rest.count > 0 {
            if builder == nil { builder = pool.makeBuilder() }
            let taken = rest.withBytes { builder?.append($0) ?? 0 }
            rest = rest.dropFirst(taken)
            if builder?.room == 0 { ready += flush() }
        }
        return isLast ? ready + flush() : ready
    }

    func flush() -> [Chunk] {
        guard let filled = builder.take() else { return [] }
        return [filled.freeze()]
    }
}
