import Glibc
import Synchronization

/// One page-aligned buffer. Given back to its pool when the last chunk that views it is gone.
final class Slab: @unchecked Sendable {
    // Unchecked: `base` never changes, and its bytes are written only by the one ChunkBuilder that owns the slab
    // before `freeze`; afterwards they are read only.
    let base: UnsafeMutableRawPointer
    let capacity: Int
    /// What the last hash over a view of it came to: see `Chunk.advance`.
    let hashed = Mutex<HashedRun?>(nil)
    private let pool: BufferPool

    init(base: UnsafeMutableRawPointer, capacity: Int, pool: BufferPool) {
        self.base = base
        self.capacity = capacity
        self.pool = pool
    }

    deinit {
        pool.recycle(base)
    }
}

/// Recycles the 1 MiB buffers that bytes travel in.
///
/// The pool bounds nothing: `MemoryBudget` admits work before it asks for buffers. The pool only saves the page
/// faults of a fresh mapping, and returns what is idle beyond `retained` to the system.
public final class BufferPool: Sendable {
    /// The capacity of one chunk: 1 MiB.
    public static let chunkCapacity = 1 << 20

    private struct State {
        var free: [UInt] = []
        var live = 0
        var peak = 0
    }

    private let state = Mutex(State())
    private let retained: Int

    /// A pool that keeps at most `retained` idle buffers.
    public init(retained: Int = 32) {
        self.retained = retained
    }

    /// An empty builder over one buffer.
    package func makeBuilder() -> ChunkBuilder {
        let recycled: UInt? = state.withLock { state in
            state.live += 1
            state.peak = max(state.peak, state.live)
            return state.free.popLast()
        }
        let base = recycled.flatMap { UnsafeMutableRawPointer(bitPattern: $0) } ?? BufferPool.map()
        return ChunkBuilder(slab: Slab(base: base, capacity: BufferPool.chunkCapacity, pool: self))
    }

    /// Buffers in use now and at most so far, for tests and `-vv`.
    package var usage: (live: Int, peak: Int) {
        state.withLock { ($0.live, $0.peak) }
    }

    fileprivate func recycle(_ base: UnsafeMutableRawPointer) {
        let keep = state.withLock { state in
            state.live -= 1
            guard state.free.count < retained else { return false }
            state.free.append(UInt(bitPattern: base))
            return true
        }
        if !keep { munmap(base, BufferPool.chunkCapacity) }
    }

    private static func map() -> UnsafeMutableRawPointer {
        let base = mmap(nil, chunkCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let base, base != MAP_FAILED else { preconditionFailure("mmap of a 1 MiB buffer failed: out of memory") }
        return base
    }

    deinit {
        for base in state.withLock({ $0.free }) {
            munmap(UnsafeMutableRawPointer(bitPattern: base), BufferPool.chunkCapacity)
        }
    }
}
