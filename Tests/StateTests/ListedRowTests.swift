import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceState

@Suite("A row that was listed", .timeLimit(.minutes(10)))
struct ListedRowTests {
    private let directory: StateDirectory
    private let time = ManualTime()
    private let store: StateStore

    init() throws {
        directory = try StateDirectory()
        store = try directory.open(time: time)
    }

    @Test("goes by what a listing told of a version for ten minutes after it came, and anew when it is listed again")
    func listedVersions() async throws {
        var request = TransferRequest.numbered(1)
        func list(_ etag: String?, secondsAgo: Int64) async throws {
            let at = (time.wallSeconds() - secondsAgo) * 1_000
            request.listed = etag.map { ListedVersion(etag: $0, modified: 7, at: at) }
            _ = try await store.add([request], command: "cp")
        }
        func claimed() async throws -> ListedVersion? {
            let claim = try #require(try await store.claim(1).first)
            try await store.release([claim])
            return claim.request.listed
        }
        time.advance(by: .seconds(10_000))
        // It waited for nine minutes before it came into the queue.
        try await list("\"v1\"", secondsAgo: 540)
        #expect(try await claimed() == request.listed)
        time.advance(by: .seconds(60))
        #expect(try await claimed() == request.listed)
        time.advance(by: .seconds(1))
        #expect(try await claimed() == nil)
        try await list("\"v2\"", secondsAgo: 0)
        #expect(try await claimed()?.etag == "\"v2\"")
        // A listing that told none leaves none of an earlier one, and one of the future is of another clock.
        try await list(nil, secondsAgo: 0)
        #expect(try await claimed() == nil)
        try await list("\"v3\"", secondsAgo: -5)
        #expect(try await claimed() == nil)
        for absurd in [Int64.min, .max] {
            request.listed = ListedVersion(etag: "\"v4\"", modified: 7, at: absurd)
            _ = try await store.add([request], command: "cp")
            #expect(try await claimed() == nil)
        }
    }

    @Test("looks again at what is tried again")
    func retriedListing() async throws {
        var request = TransferRequest.numbered(1)
        request.listed = ListedVersion(etag: "\"v1\"", modified: 7, at: time.wallSeconds() * 1_000)
        let ids = try await store.add([request], command: "cp").transfers.map(\.id)
        let claim = try #require(try await store.claim(1).first)
        try await store.fail(claim, SluiceError(.digestMismatch, "other bytes"), retryAfter: nil)
        #expect(try await store.retry(.transfers(ids)) == 1)
        #expect(try await store.claim(1).map(\.request.listed) == [nil])
    }
}
