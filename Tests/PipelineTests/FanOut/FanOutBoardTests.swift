import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// A shared read in which the chunks are missing: members with lanes that take parts in ascending order, as the movers
/// do, and fetches that come, break off or are overtaken by a member's end.
private struct World: Hashable {
    struct Lane: Hashable {
        var offset: UInt64
        var upper: UInt64
    }

    struct Member: Hashable {
        var lanes: [Lane?]
        var parts: ArraySlice<ByteRange>
        var hasLeft = false

        var isDone: Bool { hasLeft || (parts.isEmpty && lanes.allSatisfy { $0 == nil }) }
    }

    /// How a case is played.
    struct Rules {
        var size: UInt64 = 8
        var window: UInt64 = 1
        var isSequential = false
        /// Part size of each member, and how many lanes it has.
        var members: [(part: UInt64, lanes: Int)] = [(2, 1), (2, 1)]
        /// What a member has already.
        var has: [Int: ByteRange] = [:]
        var leaves = 0
        var breaks = 0
        /// Fetches that are begun before anyone asks.
        var ahead = 0
    }

    var board: FanOutBoard
    var members: [Member]
    var leaves: Int
    var breaks: Int
    let ahead: Int
    /// Bytes that were fetched for all, and by members for themselves.
    var shared: UInt64 = 0
    var alone: UInt64 = 0

    init(_ rules: Rules) {
        board = FanOutBoard(
            members: rules.members.indices,
            size: rules.size,
            blockSize: 2,
            window: rules.window,
            isSequential: rules.isSequential
        )
        leaves = rules.leaves
        breaks = rules.breaks
        ahead = rules.ahead
        members = rules.members.enumerated().map { index, member in
            var missing = RangeSet([ByteRange(0, rules.size)])
            if let has = rules.has[index] { missing.subtract(has) }
            let parts = stride(from: 0, to: rules.size, by: Int(member.part)).map {
                ByteRange($0, min($0 + member.part, rules.size))
            }
            return Member(
                lanes: Array(repeating: nil, count: member.lanes),
                parts: parts.filter { missing.hull(in: $0) != nil }[...]
            )
        }
        for index in members.indices { board.setNeeds(index, RangeSet(Array(members[index].parts))) }
    }

    var isOver: Bool { members.allSatisfy(\.isDone) }

    /// All worlds that one event leads to.
    func next() -> [World] {
        var worlds: [World] = []
        for (index, member) in members.enumerated() where !member.hasLeft {
            for lane in member.lanes.indices {
                if let world = moving(index, lane) { worlds.append(world) }
            }
            if leaves > 0, !member.isDone {
                var world = self
                world.leaves -= 1
                world.members[index].hasLeft = true
                world.board.leave(index)
                worlds.append(world.swept())
            }
        }
        for (block, state) in board.blocks where state.isUnderWay {
            if state.filled == state.range.upper {
                worlds.append(after { $0.board.ended(block) })
            } else {
                worlds.append(after { $0.come(block, to: state.range.upper) })
                guard breaks > 0 else { continue }
                worlds.append(
                    after { world in
                        world.breaks -= 1
                        world.come(block, to: (state.filled + state.range.upper) / 2)
                        world.board.ended(block)
                    }
                )
            }
        }
        return worlds
    }

    private mutating func come(_ block: UInt64, to offset: UInt64) {
        shared += offset - (board.blocks[block]?.filled ?? offset)
        board.filled(block, to: offset)
    }

    private func after(_ change: (inout World) -> Void) -> World {
        var world = self
        change(&world)
        return world.swept()
    }

    private func swept() -> World {
        var world = self
        _ = world.board.sweep()
        return world
    }

    /// One step of a lane; nil if it has to wait.
    private func moving(_ index: Int, _ number: Int) -> World? {
        var world = self
        guard let lane = members[index].lanes[number] else {
            guard let part = world.members[index].parts.popFirst() else { return nil }
            world.members[index].lanes[number] = Lane(offset: part.lower, upper: part.upper)
            return world
        }
        switch world.board.step(index, at: lane.offset, below: lane.upper) {
        case .wait: return nil
        case .end: world.members[index].lanes[number] = nil
        case .fetch: break
        case .take(let block):
            let end = min(lane.upper, board.blocks[block]?.filled ?? lane.offset)
            world.board.took(index, ByteRange(lane.offset, end))
            world.members[index].lanes[number]?.offset = end
        case .alone(let range):
            world.alone += range.count
            world.board.took(index, range)
            world.members[index].lanes[number]?.offset = range.upper
        }
        while world.board.ahead(most: ahead) != nil {}
        return world.swept()
    }
}

@Suite("FanOutBoard", .timeLimit(.minutes(10))) struct FanOutBoardTests {
    /// Plays a case in every order of events.
    ///
    /// - Returns: how it can end, and the most blocks that were kept.
    private func play(_ rules: World.Rules) -> (ends: Set<World>, most: Int, stuck: World?) {
        var known: Set<World> = []
        var open = [World(rules)]
        var ends: Set<World> = []
        var most = 0
        while let world = open.popLast() {
            guard known.insert(world).inserted else { continue }
            most = max(most, world.board.blocks.values.count { !$0.isSpent })
            if world.isOver {
                ends.insert(world)
                continue
            }
            let next = world.next()
            if next.isEmpty { return (ends, most, world) }
            open += next
        }
        return (ends, most, nil)
    }

    static let shapes: [[(part: UInt64, lanes: Int)]] = [
        [(2, 1), (2, 1)], [(2, 2), (2, 1)], [(4, 2), (2, 2)], [(8, 1), (2, 2)], [(2, 1), (2, 1), (4, 1)],
    ]

    @Test(
        "Whatever the order, nobody waits for ever, and each byte is fetched once",
        arguments: shapes.indices,
        [1, 2]
    )
    func once(shape: Int, window: UInt64) {
        for ahead in [0, 2] {
            let played = play(World.Rules(window: window, members: Self.shapes[shape], ahead: ahead))
            #expect(played.stuck == nil)
            #expect(!played.ends.isEmpty && played.ends.allSatisfy { $0.shared + $0.alone == 8 })
            #expect(played.most <= 2 * Int(window), "what is kept stays within its memory")
            #expect(played.ends.allSatisfy { $0.board.blocks.values.allSatisfy(\.isUnderWay) }, "nothing stays behind")
        }
    }

    @Test("Members that leave and fetches that break off hold nobody", arguments: shapes.indices, [false, true])
    func leaving(shape: Int, isSequential: Bool) {
        // One stream has no lanes, and cannot be taken up where it broke off.
        let shape = Self.shapes[shape]
        let members = isSequential ? shape.map { _ in (part: UInt64(6), lanes: 1) } : shape
        for ahead in [0, 2] {
            let played = play(
                World.Rules(
                    size: 6,
                    isSequential: isSequential,
                    members: members,
                    leaves: members.count - 1,
                    breaks: isSequential ? 0 : 1,
                    ahead: ahead
                )
            )
            #expect(played.stuck == nil)
            #expect(
                played.ends.allSatisfy { $0.shared + $0.alone <= 6 },
                "not a byte is fetched twice because one left"
            )
            #expect(played.most <= 2)
        }
    }

    @Test("A member that has some already takes its part in the rest, and reads by itself what only it lacks")
    func resumed() {
        for has in [ByteRange(0, 4), ByteRange(4, 8), ByteRange(2, 6), ByteRange(0, 7)] {
            let played = play(World.Rules(members: [(2, 2), (1, 2)], has: [1: has]))
            #expect(played.stuck == nil && played.ends.allSatisfy { $0.shared + $0.alone == 8 }, "\(has)")
            let both = play(World.Rules(members: [(1, 1), (1, 1)], has: [0: ByteRange(0, 5), 1: has]))
            var missing = RangeSet([ByteRange(0, 8)])
            missing.subtract(has.intersection(ByteRange(0, 5)))
            let wanted = missing.ranges.reduce(0) { $0 + $1.count }
            #expect(both.stuck == nil && both.ends.allSatisfy { $0.shared + $0.alone == wanted }, "\(has)")
        }
    }

    @Test("Who is ahead waits for the others, and not for one that left")
    func pace() {
        var board = FanOutBoard(members: 0..<2, size: 10, blockSize: 2, window: 2, isSequential: false)
        for block in UInt64(0)..<2 {
            let range = ByteRange(block * 2, block * 2 + 2)
            #expect(board.step(0, at: range.lower, below: 10) == .fetch(block: block, range))
            board.filled(block, to: range.upper)
            board.ended(block)
            #expect(board.step(0, at: range.lower, below: 10) == .take(block: block))
            board.took(0, range)
        }
        #expect(board.sweep().useless.isEmpty)
        #expect(board.step(0, at: 4, below: 10) == .wait(block: nil))
        #expect(board.step(1, at: 0, below: 10) == .take(block: 0))
        board.leave(1)
        #expect(board.sweep().useless.sorted() == [0, 1])
        #expect(board.step(0, at: 4, below: 10) == .alone(ByteRange(4, 10)))
        #expect(board.step(1, at: 0, below: 10) == .alone(ByteRange(0, 10)))
    }

    @Test("The end of a read waits for the end of the fetch that brought its last byte")
    func provenEnd() {
        var board = FanOutBoard(members: 0..<2, size: 2, blockSize: 2, window: 2, isSequential: false)
        _ = board.step(0, at: 0, below: 2)
        board.filled(0, to: 2)
        board.took(0, ByteRange(0, 2))
        board.took(1, ByteRange(0, 2))
        #expect(board.sweep() == ([], [0]), "its bytes may go")
        #expect(board.step(0, at: 2, below: 2) == .wait(block: 0))
        board.ended(0)
        #expect(board.step(0, at: 2, below: 2) == .end)
        #expect(board.sweep().useless == [0])
    }

    @Test("What more than one member will need is fetched ahead, within the window")
    func ahead() {
        var board = FanOutBoard(members: 0..<2, size: 9, blockSize: 2, window: 3, isSequential: false)
        #expect(board.ahead(most: 2) == nil, "it is not known yet who needs what")
        board.setNeeds(0, RangeSet([ByteRange(0, 9)]))
        board.setNeeds(1, RangeSet([ByteRange(2, 3), ByteRange(4, 9)]))
        #expect(board.ahead(most: 2)?.range == ByteRange(2, 4))
        #expect(board.ahead(most: 2)?.range == ByteRange(4, 6))
        #expect(board.ahead(most: 2) == nil)
        #expect(board.ahead(most: 9) == nil, "the window ends here")
        board.leave(1)
        #expect(board.ahead(most: 9) == nil, "one alone reads by itself")
    }

    @Test("A host that takes so many connections gets no more")
    func connections() {
        var board = FanOutBoard(members: 0..<2, size: 10, blockSize: 2, window: 4, isSequential: false)
        board.mostFetches = 1
        _ = board.step(0, at: 0, below: 2)
        #expect(board.step(0, at: 2, below: 4) == .wait(block: nil))
        board.filled(0, to: 2)
        board.ended(0)
        #expect(board.step(0, at: 2, below: 4) == .fetch(block: 1, ByteRange(2, 4)))
    }
}

@Suite("RangeSet") struct RangeSetTests {
    @Test("It is what a set of offsets would be", arguments: 0..<200)
    func model(seed: UInt64) {
        var random = SeededRandom(seed)
        func range() -> ByteRange {
            let lower = UInt64.random(in: 0..<20, using: &random)
            return ByteRange(lower, lower + UInt64.random(in: 0..<8, using: &random))
        }
        let first = (0..<4).map { _ in range() }
        var set = RangeSet(first)
        var model = Set(first.flatMap { Array($0.lower..<$0.upper) })
        for _ in 0..<6 {
            let gone = range()
            set.subtract(gone)
            model.subtract(gone.lower..<gone.upper)
            #expect(Set(set.ranges.flatMap { Array($0.lower..<$0.upper) }) == model)
            #expect(zip(set.ranges, set.ranges.dropFirst()).allSatisfy { $0.upper <= $1.lower })
            let window = range()
            let inside = model.filter { window.lower <= $0 && $0 < window.upper }
            let hull = set.hull(in: window)
            #expect(hull?.lower == inside.min() && hull.map { $0.upper - 1 } == inside.max())
            #expect(set.first(from: window.lower) == model.filter { $0 >= window.lower }.min())
            #expect(set.lowest == model.min() && set.isEmpty == model.isEmpty)
        }
    }
}
