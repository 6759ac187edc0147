import SluiceBytes
import Synchronization

/// What the first look at a source brought: what the object is, its first bytes if they are under way, and the memory
/// that was admitted for them.
///
/// Nobody may wait for memory while he holds some: memory that is not enough, and cannot grow at once, is let go of, and
/// the bytes with it.
final class FirstLook: Sendable {
    private struct State {
        var stream: (any ByteStream)?
        var memory: MemoryReservation?
    }

    let info: ObjectInfo
    private let range: ByteRange
    private let state: Mutex<State>

    init(_ opened: OpenedObject, memory: MemoryReservation?) {
        info = opened.info
        range = opened.streamRange
        state = Mutex(State(stream: opened.stream, memory: opened.stream == nil ? nil : memory))
    }

    /// What must be admitted before the first bytes are asked for: enough for whichever mover takes them over.
    ///
    /// - Parameters:
    ///   - prefetch: how much is asked for.
    ///   - size: of the object, if a listing told it.
    static func memory(prefetch: UInt64, of size: UInt64?, _ capabilities: SinkCapabilities) -> UInt64 {
        let isPositioned = capabilities.shape == .positioned
        let part = min(prefetch, size ?? .max)
        let isSmall = size.map { $0 <= UInt64(BufferPool.chunkCapacity) } ?? false
        return max(
            PartMover.memory(part: part, isPositioned: isPositioned),
            SequentialMover.memory(part: part, isPositioned: isPositioned),
            isPositioned && isSmall ? WholeMover.memory : 0
        )
    }

    /// The admitted memory, if it is `bytes` at least; nil if memory must be waited for.
    func takeMemory(_ bytes: UInt64) -> MemoryReservation? {
        let (memory, stream) = state.withLock { state in
            defer { state.memory = nil }
            guard let memory = state.memory, !memory.tryGrow(to: bytes) else {
                return (state.memory, (any ByteStream)?.none)
            }
            defer { state.stream = nil }
            return (memory, state.stream)
        }
        stream?.cancel()
        guard let memory, memory.held >= bytes else {
            memory?.release()
            return nil
        }
        memory.shrink(to: bytes)
        return memory
    }

    /// The read in progress, if it begins at `offset` and goes as far as `upper`; whoever takes it ends it.
    func takeStream(from offset: UInt64, to upper: UInt64 = 0) -> (stream: any ByteStream, range: ByteRange)? {
        guard range.lower == offset, range.upper >= upper else { return nil }
        return state.withLock { state in
            defer { state.stream = nil }
            return state.stream.map { ($0, range) }
        }
    }

    /// Whether a read is in progress that goes from the first byte to `upper`.
    func reaches(_ upper: UInt64) -> Bool {
        range.lower == 0 && range.upper >= upper && state.withLock { $0.stream != nil }
    }

    /// Nobody has a use for the bytes any more.
    func drop() {
        let (stream, memory) = state.withLock { state in
            defer { state = State() }
            return (state.stream, state.memory)
        }
        stream?.cancel()
        memory?.release()
    }
}
