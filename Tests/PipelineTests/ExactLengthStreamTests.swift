import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite struct ExactLengthStreamTests {
    private let pool = BufferPool()

    private func stream(_ count: Int, expected: UInt64) -> ExactLengthStream {
        let chunks = stride(from: 0, to: count, by: 7).flatMap { start in
            Chunk.chunks(of: TestBytes.make(min(7, count - start)), from: pool)
        }
        return ExactLengthStream(ChunkListStream(chunks), expected: expected, object: "o")
    }

    @Test("A stream of the announced length passes", arguments: [0, 1, 7, 20])
    func exact(count: Int) async throws {
        let stream = stream(count, expected: UInt64(count))
        var received = 0
        while let chunk = try await stream.next() { received += chunk.count }
        #expect(received == count)
        #expect(try await stream.next() == nil)
    }

    @Test(
        "A stream that ends early or goes on is an error",
        arguments: [
            (10, 11, .truncated), (0, 1, .truncated), (12, 11, .badAnswer), (1, 0, .badAnswer),
        ] as [(Int, UInt64, SluiceError.Code)]
    )
    func wrong(count: Int, expected: UInt64, code: SluiceError.Code) async {
        let stream = stream(count, expected: expected)
        let error = await #expect(throws: SluiceError.self) { while try await stream.next() != nil {} }
        #expect(error?.code == code && error?.retry == .backoff)
    }
}
