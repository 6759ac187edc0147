import Testing

@testable import SluicePipeline

@Suite struct SlotsTests {
    private static func slots(ends: Int, over span: Duration = .milliseconds(900)) -> Slots {
        var slots = Slots(usual: 4, most: 32)
        for index in 0..<ends { slots.ended(at: .seconds(100) + span * index / max(1, ends)) }
        return slots
    }

    /// `#expect` holds a copy of what it looks at, which no mutating call may change.
    private func of<R>(_ slots: inout Slots, _ ask: (inout Slots) -> R) -> R { ask(&slots) }

    @Test(
        "Slots follow the ends of the last second, between the usual and the most",
        arguments: [(0, 4), (16, 4), (20, 5), (100, 25), (128, 32), (5000, 32)]
    )
    func follow(_ ends: Int, _ expected: Int) {
        var slots = SlotsTests.slots(ends: ends)
        #expect(of(&slots) { $0.recentEnds(at: .milliseconds(100_900)) } == ends)
        #expect(of(&slots) { $0.count(long: 0, at: .milliseconds(100_900)) } == expected)
    }

    @Test(
        "In its first second a run is known by its beginning, of which less than 300 ms tell nothing",
        arguments: [(5, 0, 4), (10, 0, 8), (10, 200, 8), (30, 400, 15), (30, 900, 7), (60, 0, 32)]
    )
    func beginning(_ ends: Int, _ milliseconds: Int, _ expected: Int) {
        var slots = Slots(usual: 4, most: 32)
        for _ in 0..<ends { slots.ended(at: .seconds(100)) }
        #expect(of(&slots) { $0.count(long: 0, at: .milliseconds(100_000 + milliseconds)) } == expected)
    }

    @Test("What ended more than a second ago is forgotten, even after a long silence", arguments: [2, 3600])
    func forget(_ seconds: Int) {
        var slots = SlotsTests.slots(ends: 200)
        #expect(of(&slots) { $0.count(long: 0, at: .seconds(100 + seconds)) } == 4)
        slots.ended(at: .seconds(100 + seconds))
        #expect(of(&slots) { $0.recentEnds(at: .seconds(100 + seconds)) } == 1)
    }

    @Test("A clock that seems to go back counts in the present")
    func backwards() {
        var slots = Slots(usual: 1, most: 9)
        slots.ended(at: .seconds(50))
        slots.ended(at: .seconds(49))
        #expect(of(&slots) { $0.recentEnds(at: .seconds(50)) } == 2)
    }

    @Test("A long transfer never takes an extra slot, one of unknown length may")
    func long() {
        var slots = SlotsTests.slots(ends: 200)
        let now = Duration.milliseconds(100_900)
        #expect(of(&slots) { $0.mayStart(size: 1 << 40, beside: 3, long: 0, at: now) })
        #expect(!of(&slots) { $0.mayStart(size: Slots.shortObject + 1, beside: 4, long: 0, at: now) })
        #expect(of(&slots) { $0.mayStart(size: Slots.shortObject, beside: 31, long: 0, at: now) })
        #expect(of(&slots) { $0.mayStart(size: nil, beside: 31, long: 0, at: now) })
        #expect(!of(&slots) { $0.mayStart(size: nil, beside: 32, long: 0, at: now) })
    }

    @Test(
        "Once as many as usual turned out to be long, nothing of unknown length takes an extra slot",
        arguments: 0...6
    )
    func turnedOutLong(_ count: Int) {
        var slots = SlotsTests.slots(ends: 200)
        let now = Duration.milliseconds(100_900)
        #expect(of(&slots) { $0.mayStart(size: nil, beside: 10, long: count, at: now) } == (count < 4))
        #expect(of(&slots) { $0.count(long: count, at: now) } == (count < 4 ? 32 : 4))
    }

    @Test("A number that was asked for is a limit, however short the transfers are")
    func limit() {
        var slots = Slots(usual: 4, most: 4)
        for _ in 0..<1000 { slots.ended(at: .seconds(1)) }
        #expect(of(&slots) { $0.count(long: 0, at: .seconds(1)) } == 4)
    }
}
