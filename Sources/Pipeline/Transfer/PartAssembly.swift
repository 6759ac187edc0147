import SluiceBytes
import Synchronization

/// The bytes of one part while its segments arrive, with the memory that was admitted for them.
final class PartAssembly: Sendable {
    private struct State {
        var chunks: [(offset: UInt64, chunk: Chunk)] = []
        var received: UInt64 = 0
        var crc = RunningDigest(.crc32c)
        var crcPosition: UInt64
        var reservation: MemoryReservation?
    }

    let part: Part
    private let keepsChunks: Bool
    private let state: Mutex<State>

    /// - Parameter keepsChunks: whole parts are handed to the sink; false: every chunk is written as it comes.
    init(part: Part, keepsChunks: Bool, reservation: MemoryReservation) {
        self.part = part
        self.keepsChunks = keepsChunks
        state = Mutex(State(crcPosition: part.range.lower, reservation: reservation))
    }

    /// Takes a chunk; true if the part is whole now.
    func add(_ chunk: Chunk, at offset: UInt64) -> Bool {
        state.withLock { state in
            if keepsChunks { state.chunks.append((offset, chunk)) }
            if !keepsChunks, state.crcPosition == offset {
                state.crc.update(chunk)
                state.crcPosition += UInt64(chunk.count)
            }
            state.received += UInt64(chunk.count)
            return state.received == part.range.count
        }
    }

    /// The chunks in order, of a part that is whole.
    var orderedChunks: [Chunk] {
        state.withLock { $0.chunks.sorted { $0.offset < $1.offset }.map(\.chunk) }
    }

    /// CRC32C of a part whose chunks came in order; nil if another lane fetched some of it.
    var sequentialCRC: Digest? {
        state.withLock { $0.crcPosition == part.range.upper ? $0.crc.finish() : nil }
    }

    /// Lets go of the chunks, and hands over the memory that was reserved for them.
    func takeReservation() -> MemoryReservation? {
        state.withLock { state in
            state.chunks = []
            defer { state.reservation = nil }
            return state.reservation
        }
    }
}
