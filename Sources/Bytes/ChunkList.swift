import Synchronization

/// A list of chunks that is taken from its front.
final class ChunkList: Sendable {
    private let state: Mutex<ArraySlice<Chunk>>

    init(_ chunks: [Chunk]) {
        state = Mutex(chunks.filter { $0.count > 0 }[...])
    }

    func pop() -> Chunk? { state.withLock { $0.popFirst() } }

    func clear() { state.withLock { $0 = [] } }
}
