import Testing

@testable import SluiceBytes

@Suite("Hashing of shared buffers") struct SharedHashTests {
    private let pool = BufferPool()

    private func chunk(_ byte: UInt8, _ count: Int = 1000) -> Chunk {
        let chunks = Chunk.chunks(of: [UInt8](repeating: byte, count: count), from: pool)
        return chunks[0]
    }

    @Test("It is the hash of the bytes, however many ask, from whatever state, and for whatever part")
    func same() {
        let (first, second) = (chunk(1), chunk(2))
        for _ in 0..<3 {
            for prefix in [0, 1, 64, 999, 1000] {
                for before in [[], [first], [second, first.dropFirst(7)]] {
                    var (shared, alone) = (SHA256(), SHA256())
                    for chunk in before { alone.update(chunk) }
                    for chunk in before { chunk.advance(&shared) }
                    #expect(shared.finalized() == alone.finalized())
                    second.prefix(prefix).advance(&shared)
                    alone.update(second.prefix(prefix))
                    #expect(shared.finalized() == alone.finalized() && shared.savedState == alone.savedState)
                }
            }
        }
    }

    @Test("A buffer that is used again for other bytes remembers nothing")
    func recycled() {
        for byte in UInt8(0)..<4 {
            var (shared, alone) = (SHA256(), SHA256())
            let chunk = chunk(byte)
            chunk.advance(&shared)
            alone.update(chunk)
            #expect(shared.finalized() == alone.finalized())
        }
    }

    @Test("Many at once agree")
    func concurrent() async {
        let chunk = chunk(3, 1 << 20)
        var expected = SHA256()
        expected.update(chunk)
        let digest = expected.finalized()
        await withTaskGroup(of: Digest.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var hash = SHA256()
                    chunk.advance(&hash)
                    return hash.finalized()
                }
            }
            for await found in group { #expect(found == digest) }
        }
    }
}
