import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite struct PartPlanTests {
    private let s3 = SinkCapabilities(
        shape: .parts,
        minimumPart: 5 << 20,
        maximumPart: 5 << 30,
        maximumParts: 10_000,
        preferredPart: 16 << 20
    )

    @Test(
        "Parts cover an object without gap or overlap, and all but the last are equal",
        arguments: [
            (0, 1, 1), (1, 1, 1), (10, 3, 4), (9, 3, 3), (1, 100, 1), (UInt64.max, 1 << 62, 4),
        ] as [(UInt64, UInt64, Int)]
    )
    func cover(size: UInt64, partSize: UInt64, count: Int) {
        let plan = PartPlan(size: size, partSize: partSize)
        #expect(plan.count == count)
        var end: UInt64 = 0
        for index in 0..<plan.count {
            let part = plan.part(index)
            #expect(part.range.lower == end)
            if index < plan.count - 1 { #expect(part.range.count == partSize) }
            end = part.range.upper
        }
        #expect(end == size)
        #expect(plan.part(plan.count + 5).range.isEmpty)
        #expect(plan.part(.max).range.isEmpty && plan.part(-1).range.lower == 0)
    }

    @Test(
        "The part size is the preferred one until the parts are too many",
        arguments: [
            (1, nil, 16 << 20),
            (16 << 20, nil, 16 << 20),
            (10_000 * (16 << 20), nil, 16 << 20),
            (10_000 * (16 << 20) + 1, nil, 17 << 20),
            (5 << 40, nil, 525 << 20),
            (1 << 30, 1, 5 << 20),
            (1 << 30, 100 << 20, 100 << 20),
            (1 << 30, (100 << 20) + 1, 101 << 20),
        ] as [(UInt64, UInt64?, UInt64)]
    )
    func partSize(size: UInt64, preferred: UInt64?, expected: UInt64) throws {
        let result = try PartPlan.partSize(for: size, s3, preferred: preferred)
        #expect(result == expected)
        #expect(PartPlan(size: size, partSize: result).count <= 10_000)
    }

    @Test(
        "A size that no part size fits is refused, whatever a server announces",
        arguments: [
            (UInt64.max, 10_000), (50_000 << 30 | 1, 10_000), (UInt64.max, 1), (UInt64.max - 5, 1),
        ] as [(UInt64, Int)]
    )
    func tooLarge(size: UInt64, parts: Int) {
        let limits = SinkCapabilities(shape: .parts, maximumPart: 5 << 30, maximumParts: parts)
        #expect(throws: SluiceError.self) { try PartPlan.partSize(for: size, limits) }
        #expect(throws: SluiceError.self) { try PartPlan.partSize(for: 1, limits, preferred: size) }
    }

    @Test("Parts of an object of unknown length grow until 10,000 hold 5 TiB, or stay equal where they must")
    func growth() {
        var total: UInt64 = 0
        var last: UInt64 = 0
        for index in 0..<10_000 {
            let size = PartPlan.growingPartSize(index, base: 16 << 20, s3)
            #expect(size >= last && size <= s3.maximumPart)
            last = size
            total += size
        }
        #expect(total > 5 << 40)
        var equal = s3
        equal.equalParts = true
        #expect(Set((0..<10_000).map { PartPlan.growingPartSize($0, base: 16 << 20, equal) }).count == 1)
        #expect(PartPlan.growingPartSize(.max, base: .max, s3) == s3.maximumPart)
    }
}

@Suite struct PartBoardTests {
    @Test("Whatever lanes do, every byte is accepted exactly once, the lowest part first", arguments: 0..<60)
    func everyByteOnce(seed: UInt64) {
        var random = SeededRandom(seed)
        let size = UInt64.random(in: 0...600, using: &random)
        let plan = PartPlan(size: size, partSize: UInt64.random(in: 1...90, using: &random))
        let done = Set((0..<plan.count).filter { _ in Int.random(in: 0..<4, using: &random) == 0 })
        var board = PartBoard(plan: plan, done: done, smallestSteal: UInt64.random(in: 1...8, using: &random))
        var times = [Int](repeating: 0, count: Int(size))
        for index in done { for byte in plan.part(index).range.offsets { times[byte] += 1 } }
        var lanes: [PartBoard.Segment] = []
        var lastTaken = -1
        while !board.isComplete {
            let choice = Int.random(in: 0..<4, using: &random)
            if lanes.isEmpty || (choice == 0 && lanes.count < 6) {
                if let fresh = board.takeLowestMissing() {
                    #expect(fresh.part.index > lastTaken && !done.contains(fresh.part.index))
                    lastTaken = fresh.part.index
                    lanes.append(fresh)
                } else if let stolen = board.steal() {
                    lanes.append(stolen)
                }
                continue
            }
            let lane = Int.random(in: 0..<lanes.count, using: &random)
            let segment = lanes[lane]
            let rest = board.remainder(of: segment)
            // A chunk may be longer than what is left: another lane may have taken the end of it.
            let own = board.accept(Int.random(in: 0...50, using: &random), for: segment)
            for byte in ByteRange(rest.lower, rest.lower + UInt64(own)).offsets { times[byte] += 1 }
            guard board.remainder(of: segment).isEmpty else { continue }
            lanes.remove(at: lane)
            if board.close(segment) { board.complete(segment.part) }
        }
        #expect(lanes.isEmpty && times.allSatisfy { $0 == 1 })
        #expect(board.takeLowestMissing() == nil && board.steal() == nil && !board.hasMissing)
    }
}

extension ByteRange {
    fileprivate var offsets: Range<Int> { Int(lower)..<Int(upper) }
}
