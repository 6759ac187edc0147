import SluiceTestSupport
import Testing

@testable import SluiceBytes

@Suite(.timeLimit(.minutes(10))) struct MemoryBudgetTests {
    private let budget = MemoryBudget(ByteCount(100))

    @Test("What is asked for waits its turn, in the order of asking")
    func order() async throws {
        let first = try await budget.reserve(80)
        let order = Locked<[Int]>([])
        var tasks: [Task<Void, any Error>] = []
        // The small one would fit at once, and waits behind the large one all the same: beside that it does not fit.
        for (index, bytes) in [(1, 95), (2, 10), (3, 5)] as [(Int, UInt64)] {
            let task = Task { [budget] in
                let reservation = try await budget.reserve(bytes)
                order.withLock { $0.append(index) }
                reservation.release()
            }
            tasks.append(task)
            await until { budget.waiting == index }
        }
        #expect(budget.tryReserve(1) == nil, "nobody passes those who wait")
        first.release()
        for task in tasks { try await task.value }
        #expect(order.withLock { $0.first } == 1)
        #expect(budget.usage.held == 0 && budget.usage.peak <= 100)
    }

    @Test("What is held grows only by what is free, and never past those who wait")
    func growth() async throws {
        let held = try await budget.reserve(40)
        let other = try await budget.reserve(30)
        #expect(held.tryGrow(to: 70) && held.held == 70 && budget.usage.held == 100)
        #expect(!held.tryGrow(to: 71) && held.held == 70)
        let waiting = Task { [budget] in try await budget.reserve(60) }
        await until { budget.waiting == 1 }
        other.release()
        #expect(!held.tryGrow(to: 80), "30 are free, and somebody waits for 60")
        #expect(held.tryGrow(to: 50), "it holds as much already")
        held.release()
        try await waiting.value.release()
        #expect(budget.usage.held == 0)
    }

    @Test("A request larger than the whole is admitted alone")
    func oversize() async throws {
        let small = try await budget.reserve(1)
        let large = Task { [budget] in try await budget.reserve(.max) }
        await until { budget.waiting == 1 }
        #expect(budget.usage.held == 1)
        small.release()
        let held = try await large.value
        #expect(budget.usage.held == .max)
        #expect(budget.tryReserve(1) == nil)
        held.release()
        #expect(budget.tryReserve(100) != nil)
        #expect(budget.usage.held == 0)
    }

    @Test("A reservation gives back once: by hand, in part, or when it is gone")
    func giveBack() async throws {
        let reservation = try await budget.reserve(60)
        reservation.shrink(to: 40)
        reservation.shrink(to: 50)
        #expect(budget.usage.held == 40)
        reservation.release()
        reservation.release()
        #expect(budget.usage.held == 0)
        do {
            let gone = try #require(budget.tryReserve(10))
            #expect(budget.usage.held == 10)
            withExtendedLifetime(gone) {}
        }
        #expect(budget.usage.held == 0)
    }

    @Test("Whoever waits can be cancelled at any point, and those behind go on", arguments: 0..<30)
    func cancelled(yields: Int) async throws {
        let held = try await budget.reserve(100)
        let large = Task { [budget] in try await budget.reserve(70) }
        let behind = Task { [budget] in try await budget.reserve(30) }
        for _ in 0..<yields { await Task.yield() }
        large.cancel()
        let releaser = Task { held.release() }
        let result = await large.result
        if case .success(let reservation) = result { reservation.release() }
        try await behind.value.release()
        await releaser.value
        #expect(budget.usage.held == 0 && budget.waiting == 0)
    }

    @Test("Many at once never hold more than the whole")
    func stress() async throws {
        let budget = MemoryBudget(ByteCount(1000))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<12 {
                group.addTask {
                    var random = SeededRandom(UInt64(index))
                    for _ in 0..<30 {
                        let reservation = try await budget.reserve(UInt64.random(in: 0...600, using: &random))
                        await Task.yield()
                        reservation.release()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(budget.usage.held == 0 && budget.usage.peak <= 1000)
    }
}

@Suite struct BufferPoolTests {
    @Test("A buffer comes back when its last view is gone, and is used again")
    func recycling() {
        let pool = BufferPool(retained: 1)
        var chunk: Chunk? = Chunk.chunks(of: [1, 2, 3], from: pool).first
        var view = chunk?.dropFirst(1)
        chunk = nil
        #expect(pool.usage.live == 1 && view?.bytes == [2, 3])
        view = nil
        #expect(pool.usage.live == 0 && pool.usage.peak == 1)
        for _ in 0..<10 { _ = Chunk.chunks(of: [9], from: pool) }
        #expect(pool.usage.live == 0 && pool.usage.peak == 1)
    }

    @Test("A builder takes what fits and tells how much")
    func builder() {
        let pool = BufferPool()
        var builder = pool.makeBuilder()
        let bytes = [UInt8](repeating: 7, count: BufferPool.chunkCapacity - 1)
        #expect(bytes.withUnsafeBytes { builder.append($0) } == bytes.count)
        #expect(builder.room == 1)
        #expect(bytes.withUnsafeBytes { builder.append($0) } == 1)
        #expect(bytes.withUnsafeBytes { builder.append($0) } == 0)
        builder.fill { _ in 5 }
        let chunk = builder.freeze()
        #expect(chunk.count == BufferPool.chunkCapacity)
    }

    @Test("What a filler claims to have written stays within the buffer", arguments: [-1, 0, 3, Int.max])
    func filling(written: Int) {
        var builder = BufferPool().makeBuilder()
        builder.fill { _ in written }
        #expect(builder.count == min(max(0, written), BufferPool.chunkCapacity))
        _ = builder.freeze()
    }

    @Test("Views are cut within the chunk, whatever is asked for", arguments: [-5, 0, 2, 4, 99])
    func views(length: Int) throws {
        let pool = BufferPool()
        let chunk = try #require(Chunk.chunks(of: [1, 2, 3, 4], from: pool).first)
        let cut = min(max(0, length), 4)
        #expect(chunk.prefix(length).bytes == Array([1, 2, 3, 4].prefix(cut)))
        #expect(chunk.dropFirst(length).bytes == Array([1, 2, 3, 4].dropFirst(cut)))
    }

    @Test(
        "Bytes are cut into chunks and come out as they went in",
        arguments: [
            0, 1, BufferPool.chunkCapacity, BufferPool.chunkCapacity + 1, 3 * BufferPool.chunkCapacity - 1,
        ]
    )
    func cutting(count: Int) {
        let bytes = TestBytes.make(count)
        let chunks = Chunk.chunks(of: bytes, from: BufferPool())
        #expect(chunks.allSatisfy { $0.count > 0 } && Array(chunks.map(\.bytes).joined()) == bytes)
    }
}
