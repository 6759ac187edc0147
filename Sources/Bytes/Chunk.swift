import Synchronization

/// Bytes in one pooled buffer: unique while they gather, shared and immutable once frozen.
public struct ChunkBuilder: ~Copyable, Sendable {
    private let slab: Slab
    /// Bytes gathered so far.
    public private(set) var count = 0

    init(slab: Slab) {
        self.slab = slab
    }

    /// Room that is left, in bytes.
    public var room: Int { slab.capacity - count }

    /// Copies as many of `bytes` as fit, and tells how many.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Int {
        let taken = min(bytes.count, room)
        if taken > 0, let source = bytes.baseAddress {
            (slab.base + count).copyMemory(from: source, byteCount: taken)
            count += taken
        }
        return taken
    }

    /// Lets `body` fill the free room in place (for `pread`); it returns how many bytes it wrote.
    public mutating func fill<E: Error>(
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Int
    ) throws(E) {
        let free = UnsafeMutableRawBufferPointer(start: slab.base + count, count: room)
        count += min(room, max(0, try body(free)))
    }

    /// Ends the filling.
    public consuming func freeze() -> Chunk {
        Chunk(slab: slab, lower: 0, upper: count)
    }
}

/// A pass of SHA-256 over bytes of a buffer, which are immutable: from the same state it comes to the same state.
struct HashedRun: Sendable {
    let lower: Int
    let upper: Int
    let before: [UInt8]
    let after: SHA256
}

/// An immutable view of bytes in a pooled buffer. Copies share the buffer, which lives as long as its last view.
public struct Chunk: Sendable {
    private let slab: Slab
    private let lower: Int
    private let upper: Int

    init(slab: Slab, lower: Int, upper: Int) {
        self.slab = slab
        self.lower = lower
        self.upper = upper
    }

    /// The length in bytes, at most `BufferPool.chunkCapacity`.
    public var count: Int { upper - lower }

    /// Gives `body` the bytes; the pointer is good only inside it.
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try withExtendedLifetime(slab) { () throws(E) -> R in
            try body(UnsafeRawBufferPointer(start: slab.base + lower, count: count))
        }
    }

    /// The first `length` bytes (all of them if there are fewer), without a copy.
    public func prefix(_ length: Int) -> Chunk {
        Chunk(slab: slab, lower: lower, upper: lower + min(max(0, length), count))
    }

    /// What is left after the first `length` bytes, without a copy.
    public func dropFirst(_ length: Int) -> Chunk {
        Chunk(slab: slab, lower: lower + min(max(0, length), count), upper: upper)
    }

    /// Takes the bytes into `hash`. Several who hash the very same buffer from the same state on, as those do whose
    /// bytes come from one read, share one pass: whoever comes while it is under way waits for it.
    public func advance(_ hash: inout SHA256) {
        let before = hash.savedState
        hash = slab.hashed.withLock { known in
            if let known, known.lower == lower, known.upper == upper, known.before == before { return known.after }
            var after = hash
            after.update(self)
            known = HashedRun(lower: lower, upper: upper, before: before, after: after)
            return after
        }
    }

    /// A copy of the bytes, for small things only.
    public var bytes: [UInt8] { withBytes { Array($0) } }
}

extension Chunk {
    /// Cuts `bytes` into chunks, for bodies that are made rather than moved.
    public static func chunks(of bytes: [UInt8], from pool: BufferPool) -> [Chunk] {
        bytes.withUnsafeBytes { all in
            stride(from: 0, to: all.count, by: BufferPool.chunkCapacity).map { start in
                var builder = pool.makeBuilder()
                let end = min(start + BufferPool.chunkCapacity, all.count)
                _ = builder.append(UnsafeRawBufferPointer(rebasing: all[start..<end]))
                return builder.freeze()
            }
        }
    }
}
