import SluiceContentStore
import SluiceTestSupport
import Testing

@testable import SluiceSinks

@Suite struct FetchTurnTests {
    private let limit = FetchTurn.Patience.limit

    @Test func `whose turn it is fetches at once`() {
        var patience = FetchTurn.Patience()
        #expect(patience.next(nil, isMine: true, now: .zero) == .fetch)
    }

    @Test func `a holder that gets on is waited for, however long it takes`() {
        var patience = FetchTurn.Patience()
        for second in 0..<1000 {
            let seen = BlobProgress(size: UInt64(second), modified: Int64(second))
            let step = patience.next(seen, isMine: false, now: .seconds(second))
            guard case .lookAgain(let delay) = step else {
                Issue.record("gave up after \(second) s")
                return
            }
            #expect(delay > .zero && delay <= .seconds(2))
        }
    }

    @Test func `a holder that stands still is waited for no longer than the limit`() {
        var patience = FetchTurn.Patience()
        let seen = BlobProgress(size: 1, modified: 1)
        #expect(patience.next(seen, isMine: false, now: .zero) != .fetch)
        #expect(patience.next(seen, isMine: false, now: limit - .milliseconds(1)) != .fetch)
        #expect(patience.next(seen, isMine: false, now: limit) == .fetch)
    }

    @Test func `one that has not begun counts as standing still, and beginning as getting on`() {
        var patience = FetchTurn.Patience()
        #expect(patience.next(nil, isMine: false, now: .zero) != .fetch)
        #expect(patience.next(BlobProgress(size: 0, modified: 1), isMine: false, now: limit) != .fetch)
        #expect(patience.next(BlobProgress(size: 0, modified: 1), isMine: false, now: limit * 2) == .fetch)
    }
}
