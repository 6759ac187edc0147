import SluiceBytes
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluicePipeline

/// The first bytes of an object and the memory that was admitted for them.
@Suite struct FirstLookTests {
    private final class Stream: ByteStream {
        let isCancelled = Mutex(false)

        func next() async throws -> Chunk? { nil }
        func cancel() { isCancelled.withLock { $0 = true } }
    }

    private let budget = MemoryBudget(.mebibytes(8))
    private let stream = Stream()

    private func look(memory: UInt64?) async throws -> FirstLook {
        let info = ObjectInfo(size: 100, pin: .weak(size: 100, modified: nil), supportsRanges: true)
        let opened = OpenedObject(info: info, stream: stream, streamRange: ByteRange(0, 10))
        let reservation: MemoryReservation? =
            if let memory { try await budget.reserve(memory) } else { nil }
        return FirstLook(opened, memory: reservation)
    }

    private var isCancelled: Bool { stream.isCancelled.withLock { $0 } }

    @Test func `memory that is enough goes to the mover, and what is left over goes back`() async throws {
        let look = try await look(memory: 5)
        let memory = try #require(look.takeMemory(3))
        #expect(budget.usage.held == 3)
        #expect(look.takeMemory(1) == nil)
        #expect(look.takeStream(from: 0)?.range == ByteRange(0, 10))
        #expect(!isCancelled)
        memory.release()
        #expect(budget.usage.held == 0)
    }

    @Test func `memory that is too little grows where some is free`() async throws {
        let look = try await look(memory: 5)
        #expect(look.takeMemory(6)?.held == 6)
        #expect(!isCancelled)
    }

    @Test func `memory that is too little goes back, and the bytes are not kept without it`() async throws {
        let look = try await look(memory: 5)
        let others = try #require(budget.tryReserve(budget.total.bytes - 5))
        #expect(look.takeMemory(6) == nil)
        others.release()
        #expect(budget.usage.held == 0)
        #expect(isCancelled)
        #expect(look.takeStream(from: 0) == nil)
    }

    @Test func `a read that was not admitted can be taken over all the same`() async throws {
        let look = try await look(memory: nil)
        #expect(look.takeMemory(6) == nil)
        #expect(look.takeStream(from: 0, to: 11) == nil)
        #expect(look.takeStream(from: 1) == nil)
        #expect(look.takeStream(from: 0, to: 10) != nil)
        #expect(!isCancelled)
    }

    @Test func `what is dropped holds nothing`() async throws {
        let look = try await look(memory: 5)
        look.drop()
        #expect(isCancelled)
        #expect(budget.usage.held == 0)
        #expect(look.takeMemory(1) == nil)
    }

    @Test func `whoever has to wait for another's fetch is asked to let go first`() async throws {
        let table = InFlightTable()
        let digest = SHA256.hash("x")
        let asked = Locked(0)
        _ = try await table.claim(digest, at: "sink") { asked.withLock { $0 += 1 } }
        #expect(asked.withLock { $0 } == 0)
        let waiter = Task { try await table.claim(digest, at: "sink") { asked.withLock { $0 += 1 } } }
        while asked.withLock({ $0 }) == 0 { await Task.yield() }
        table.settle(digest, at: "sink", stored: nil)
        guard case .owner = try await waiter.value else { return #expect(Bool(false)) }
        #expect(asked.withLock { $0 } >= 1)
    }
}
