import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite(.timeLimit(.minutes(10))) struct DigestFrontierTests {
    private let pool = BufferPool()
    private let bytes = TestBytes.make(1_000_003)

    private func chunk(_ range: Range<Int>) throws -> Chunk {
        try #require(Chunk.chunks(of: Array(bytes[range]), from: pool).first)
    }

    private func frontier(
        _ hash: SHA256 = SHA256(),
        at position: UInt64 = 0,
        step: UInt64 = 0,
        extras: Set<DigestAlgorithm> = []
    ) -> DigestFrontier {
        DigestFrontier(
            hash: hash,
            position: position,
            boundaryStep: step,
            end: UInt64(bytes.count),
            extras: extras
        ) { [pool, bytes] range in
            // Short reads: at most 1000 bytes at a time.
            let upper = min(Int(range.upper), Int(range.lower) + 1000)
            let slice = Array(bytes[Int(range.lower)..<upper])
            return Chunk.chunks(of: slice, from: pool).first ?? pool.makeBuilder().freeze()
        }
    }

    private func pieces(_ random: inout SeededRandom, from start: Int = 0) -> [Range<Int>] {
        var pieces: [Range<Int>] = []
        var lower = start
        while lower < bytes.count {
            let upper = min(bytes.count, lower + Int.random(in: 1...40_000, using: &random))
            pieces.append(lower..<upper)
            lower = upper
        }
        return pieces
    }

    @Test("Bytes in any order, from memory or read back, give the digest of the whole", arguments: 0..<8)
    func anyOrder(seed: UInt64) async throws {
        var random = SeededRandom(seed)
        let frontier = frontier(step: 65_536, extras: [.md5])
        for piece in pieces(&random).shuffled(using: &random) {
            let range = ByteRange(UInt64(piece.lowerBound), UInt64(piece.upperBound))
            let item: DigestFrontier.Item = Bool.random(using: &random) ? .stored(range) : .memory(try chunk(piece))
            try await frontier.offer(item, at: range.lower)
        }
        try await frontier.wait(until: UInt64(bytes.count))
        #expect(frontier.finish().sha256 == TestBytes.sha256(bytes))
        #expect(frontier.finish().extras.isEmpty == false)
        #expect(frontier.chunksHeld == 0)
    }

    @Test("Many tasks offer at once, and all waiters are woken", arguments: 0..<4)
    func concurrentOffers(seed: UInt64) async throws {
        var random = SeededRandom(seed)
        let frontier = frontier(step: 1 << 16)
        let pieces = pieces(&random).shuffled(using: &random)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for lane in 0..<6 {
                group.addTask(executorPreference: BlockingExecutor.shared) {
                    for (index, piece) in pieces.enumerated() where index % 6 == lane {
                        try await frontier.offer(.memory(try chunk(piece)), at: UInt64(piece.lowerBound))
                    }
                    try await frontier.wait(until: UInt64(bytes.count))
                }
            }
            try await group.waitForAll()
        }
        #expect(frontier.finish().sha256 == TestBytes.sha256(bytes))
    }

    @Test("The state at a boundary, or at the end, goes on in another process", arguments: [0, 3, 15, 16])
    func savedState(boundary: Int) async throws {
        let step = 65_536
        let first = frontier(step: UInt64(step))
        let end = min(bytes.count, boundary * step)
        // Some bytes beyond the boundary are hashed too: they are not in what is saved.
        let reach = min(bytes.count, end + 100)
        if reach > 0 { try await first.offer(.memory(try chunk(0..<reach)), at: 0) }
        let saved = first.savedBoundary
        #expect(saved.offset == UInt64(end))
        let hash = try #require(SHA256(savedState: saved.state))
        let second = frontier(hash, at: saved.offset, step: UInt64(step))
        // A part that the hash covers already is offered once more, and is not hashed twice.
        if end > 0 { try await second.offer(.memory(try chunk(0..<100)), at: 0) }
        if end < bytes.count { try await second.offer(.memory(try chunk(end..<bytes.count)), at: saved.offset) }
        #expect(second.finish().sha256 == TestBytes.sha256(bytes))
    }

    @Test("A read-back that fails wakes every waiter, and whoever offers next")
    func failure() async throws {
        let frontier = DigestFrontier { range in throw SluiceError(.fileSystem, "cannot read \(range)") }
        let waiters = (1...3).map { offset in Task { try await frontier.wait(until: UInt64(offset * 10)) } }
        await #expect(throws: SluiceError.self) { try await frontier.offer(.stored(ByteRange(0, 100)), at: 0) }
        for waiter in waiters { await #expect(throws: SluiceError.self) { try await waiter.value } }
        await #expect(throws: SluiceError.self) { try await frontier.wait(until: 1) }
        await #expect(throws: SluiceError.self) { try await frontier.offer(.memory(try chunk(0..<5)), at: 0) }
        #expect(frontier.chunksHeld == 0)
    }

    @Test("A read-back that ends early is an error, not an end")
    func shortReadBack() async {
        let frontier = DigestFrontier { [pool] _ in pool.makeBuilder().freeze() }
        await #expect(throws: SluiceError.self) { try await frontier.offer(.stored(ByteRange(0, 10)), at: 0) }
    }
}
