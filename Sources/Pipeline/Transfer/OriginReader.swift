import SluiceBytes
import Synchronization

/// Reads a whole object of one origin in order, and goes on from where a read broke off.
final class OriginReader: Sendable {
    private struct State {
        var offset: UInt64 = 0
        var stream: (any ByteStream)?
        var leftover: Chunk?
    }

    private let source: any SourceObject
    private let info: ObjectInfo
    private let size: UInt64
    private let context: MoveContext
    private let state = Mutex(State())

    init(_ source: any SourceObject, _ info: ObjectInfo, size: UInt64, _ context: MoveContext) {
        self.source = source
        self.info = info
        self.size = size
        self.context = context
    }

    /// The next bytes, at most `limit`; nil at the end.
    func next(upTo limit: UInt64 = .max) async throws -> Chunk? {
        let rest = state.withLock { state in
            defer { state.leftover = nil }
            return state.leftover
        }
        let chunk = if let rest { rest } else { try await fetch() }
        guard let chunk, UInt64(chunk.count) > limit else { return chunk }
        state.withLock { $0.leftover = chunk.dropFirst(Int(limit)) }
        return chunk.prefix(Int(limit))
    }

    private func fetch() async throws -> Chunk? {
        if state.withLock({ $0.offset }) == size { return nil }
        return try await context.retrying.run(host: source.host, object: source.location) {
            let stream = try await open()
            do {
                if let chunk = try await stream.next() {
                    context.meter.received(chunk.count)
                    state.withLock { $0.offset += UInt64(chunk.count) }
                    return chunk
                }
                throw SluiceError(.truncated, "it ended before its \(size) bytes", retry: .backoff)
            } catch {
                cancel()
                throw error
            }
        }
    }

    private func open() async throws -> any ByteStream {
        let (offset, known) = state.withLock { ($0.offset, $0.stream) }
        if let known { return known }
        let made = try await source.read(ByteRange(offset, size), of: info, options: context.readOptions)
        state.withLock { $0.stream = made }
        return made
    }

    /// Lets go of the connection; the next read opens another.
    func cancel() {
        let stream = state.withLock { state in
            defer { state.stream = nil }
            return state.stream
        }
        stream?.cancel()
    }
}
