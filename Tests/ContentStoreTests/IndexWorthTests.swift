import Testing

@testable import SluiceContentStore

@Suite("An index is made when the requests that it saves have cost as much")
struct IndexWorthTests {
    private static let fewest = Int(IndexWorth.fewest)

    @Test("not for a few, then once, and nobody waits for who makes it")
    func once() {
        var worth = IndexWorth()
        let steps = (1...3 * Self.fewest).map { _ in worth.ask() }
        let limit = IndexWorth.fewest * IndexWorth.bytesPerRequest
        #expect(steps.firstIndex(of: .make(limit: limit)) == Self.fewest - 1)
        #expect(steps.count { $0 != .request } == 1)
    }

    @Test("of a large store later, with what was spent by then", arguments: [0, 1, 31, 100, 100_000] as [UInt64])
    func later(_ requests: UInt64) throws {
        var worth = IndexWorth()
        for _ in 1...Self.fewest { _ = worth.ask() }
        worth.costs(requests * IndexWorth.bytesPerRequest)
        var asked = IndexWorth.fewest
        while true {
            asked += 1
            guard case .make(let limit) = worth.ask() else { continue }
            #expect(limit == asked * IndexWorth.bytesPerRequest)
            #expect(limit > requests * IndexWorth.bytesPerRequest)
            break
        }
        #expect(asked == max(2 * IndexWorth.fewest, requests + 1))
    }

    @Test("and whatever it costs is a number")
    func absurd() {
        var worth = IndexWorth()
        worth.costs(.max)
        #expect((1...1000).allSatisfy { _ in worth.ask() == .request })
    }
}
