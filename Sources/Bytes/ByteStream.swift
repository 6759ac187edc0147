/// Bytes on their way, pulled by their consumer. Not pulling is the back-pressure: the producer stops at its window.
public protocol ByteStream: Sendable {
    /// The next bytes, never empty; nil at the proven end (a body that was cut short throws instead).
    ///
    /// One consumer at a time. Cancelling the waiting task ends the wait with `CancellationError`.
    func next() async throws -> Chunk?

    /// Ends the stream early and lets go of its connection and buffers. May be called from anywhere, more than once.
    func cancel()
}

/// Chunks that are in memory already, as a stream.
public final class ChunkListStream: ByteStream {
    private let rest: ChunkList

    /// A stream over `chunks`, in order.
    public init(_ chunks: [Chunk]) {
        rest = ChunkList(chunks)
    }

    /// The next chunk.
    public func next() async throws -> Chunk? { rest.pop() }

    /// Drops what is left.
    public func cancel() { rest.clear() }
}
