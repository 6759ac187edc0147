import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// The bytes of a range of an open file.
final class FileStream: ByteStream {
    /// What a gate is asked for at once: 64 KiB, so that a limit holds within one chunk, too.
    private static let slice = 64 << 10

    private struct State {
        var file: OwnedDescriptor?
        var position: UInt64
    }

    private let range: ByteRange
    private let pin: Pin?
    private let location: String
    private let options: ReadOptions
    private let time: any TimeSource
    private let state: Mutex<State>

    /// - Parameter pin: nil for a read to the end of a file that does not know its length.
    init(
        _ file: OwnedDescriptor,
        _ range: ByteRange,
        pin: Pin?,
        location: String,
        options: ReadOptions,
        time: any TimeSource
    ) {
        self.range = range
        self.pin = pin
        self.location = location
        self.options = options
        self.time = time
        state = Mutex(State(file: file, position: range.lower))
    }

    func next() async throws -> Chunk? {
        try Task.checkCancellation()
        let (current, position) = state.withLock { ($0.file, $0.position) }
        guard position < range.upper else { return nil }
        guard let file = current else { throw CancellationError() }
        var builder = options.pool.makeBuilder()
        let limit = Int(min(range.upper - position, UInt64(BufferPool.chunkCapacity)))
        while builder.count < limit {
            let wanted = min(limit - builder.count, options.gate == nil ? limit : FileStream.slice)
            if let wait = options.gate?.book(wanted), wait > .zero { try await time.sleep(for: wait) }
            let count = try read(file, at: position + UInt64(builder.count), wanted, into: &builder)
            if count > 0 { options.onReceived?(count) }
            if count < wanted { return try end(at: position + UInt64(builder.count), file, builder.freeze()) }
        }
        let chunk = builder.freeze()
        advance(by: chunk.count)
        return chunk
    }

    func cancel() { state.withLock { $0.file = nil } }

    private func read(
        _ file: OwnedDescriptor,
        at offset: UInt64,
        _ wanted: Int,
        into builder: inout ChunkBuilder
    ) throws(SluiceError) -> Int {
        let before = builder.count
        do {
            try builder.fill { (free) throws(SystemFailure) -> Int in
                try file.read(into: UnsafeMutableRawBufferPointer(rebasing: free.prefix(wanted)), at: offset)
            }
        } catch {
            throw SluiceError(error, "read the file", object: location)
        }
        return builder.count - before
    }

    /// The file ended before the range: proven only where no length was promised.
    private func end(at offset: UInt64, _ file: OwnedDescriptor, _ last: Chunk) throws -> Chunk? {
        guard let pin else {
            state.withLock { $0.position = range.upper }
            return last.count == 0 ? nil : last
        }
        throw SluiceError(
            .sourceChanged,
            object: location,
            "the file shrank while it was read: it was \(pin), its bytes end at \(offset)",
            remedy: "copy it when nothing writes to it",
            retry: .restart
        )
    }

    private func advance(by count: Int) {
        state.withLock { state in
            state.position += UInt64(count)
            // The descriptor goes with the last byte: a stream may be held longer than it is read.
            if state.position >= range.upper { state.file = nil }
        }
    }
}
