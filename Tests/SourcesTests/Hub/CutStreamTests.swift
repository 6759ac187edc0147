import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSources

@Suite("A range of a stream")
struct CutStreamTests {
    private func stream(_ range: ByteRange, chunk: Int = 3) -> CutStream {
        let pool = BufferPool()
        let bytes = (0..<10).map { UInt8($0) }
        let chunks = stride(from: 0, to: 10, by: chunk).flatMap {
            Chunk.chunks(of: Array(bytes[$0..<min($0 + chunk, 10)]), from: pool)
        }
        return CutStream(ChunkListStream(chunks), range, object: "x")
    }

    @Test("has its bytes and no other, wherever the chunks end")
    func ranges() async throws {
        for lower in 0..<10 {
            for upper in lower...10 {
                let range = ByteRange(UInt64(lower), UInt64(upper))
                for chunk in [1, 3, 10] {
                    let bytes = try await stream(range, chunk: chunk).gathered()
                    #expect(bytes == (lower..<upper).map { UInt8($0) })
                }
            }
        }
    }

    @Test("that ends too early is no range")
    func short() async throws {
        let failure = await #expect(throws: SluiceError.self) { try await stream(ByteRange(5, 11)).gathered() }
        #expect(failure?.code == .truncated)
    }
}
