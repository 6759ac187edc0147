import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline
@testable import SluiceState

@Suite("The queue", .timeLimit(.minutes(10)))
struct QueueTests {
    private let directory: StateDirectory
    private let time = ManualTime()
    private let store: StateStore

    init() throws {
        directory = try StateDirectory()
        store = try directory.open(time: time)
    }

    private func add(_ numbers: Range<Int>, host: String = "https://a", priority: Int = 0) async throws -> [TransferID]
    {
        let requests = numbers.map { TransferRequest.numbered($0, host: host) }
        return try await store.add(requests, command: "test", priority: priority).transfers.map(\.id)
    }

    private func state(_ id: TransferID) async throws -> TransferState? {
        try await store.transfer(id)?.state
    }

    @Test("gives out transfers in order of entry, each once, with a fence that rises with every claim")
    func order() async throws {
        let ids = try await add(0..<5)
        let first = try await store.claim(3)
        #expect(first.map(\.id) == Array(ids[..<3]))
        #expect(try await store.claim(9).map(\.id) == Array(ids[3...]))
        #expect(try await store.claim(9).isEmpty)
        #expect(first.map(\.fence) == [1, 1, 1])
        try await store.release(first)
        let again = try await store.claim(3)
        #expect(again.map(\.fence) == [2, 2, 2])
        #expect(again.map(\.attempts) == [0, 0, 0])
    }

    @Test("gives out an object's transfers together, however few are asked for, and no other job's")
    func siblings() async throws {
        func requests(_ names: [String]) -> [TransferRequest] {
            names.map { TransferRequest(source: "https://a/x", target: $0, host: "https://a", fanOut: 1) }
        }
        let ids = try await store.add(requests(["/1", "/2", "/3"]), command: "cp").transfers.map(\.id)
        let others = try await store.add(requests(["/4", "/5"]), command: "cp").transfers.map(\.id)
        let first = try await store.claim(1)
        #expect(first.map(\.id) == ids && first.map(\.request.fanOut) == [1, 1, 1])
        try await store.release([first[1]])
        #expect(try await store.claim(1).map(\.id) == [ids[1]], "one that comes back later comes alone")
        #expect(try await store.claim(9).map(\.id) == others)
    }

    @Test("keeps an object's alternates in their order, whatever bytes they have, and takes new ones over")
    func alternates() async throws {
        var request = TransferRequest(source: "https://a/x", target: "/t", host: "https://a")
        request.alternates = ["/nas/a\nb\"c", "https://b/x,y", "s3://b/ä"]
        let ids = try await store.add([request], command: "cp").transfers.map(\.id)
        let claim = try #require(try await store.claim(1).first)
        #expect(claim.request.alternates == request.alternates)
        try await store.release([claim])
        request.alternates = ["https://c/x"]
        #expect(try await store.add([request], command: "cp").transfers.map(\.id) == ids)
        #expect(try await store.claim(1).map(\.request.alternates) == [["https://c/x"]])
        request.alternates = ["https://user:word@c/x"]
        await #expect(throws: SluiceError.self) { try await store.add([request], command: "cp") }
    }

    @Test("leaves out siblings that are held, and those that only their command can run")
    func heldSiblings() async throws {
        var requests = ["/1", "/2", "/3"].map {
            TransferRequest(source: "https://a/x", target: $0, host: "https://a", fanOut: 7)
        }
        requests[2].needsCommand = true
        let (job, transfers) = try await store.add(requests, command: "cp")
        _ = try await store.pause(.transfers([transfers[1].id]))
        #expect(try await store.claim(1).map(\.id) == [transfers[0].id])
        #expect(try await store.claim(1, job: job).map(\.id) == [transfers[2].id])
    }

    @Test("gives the request back as it was added")
    func request() async throws {
        var request = TransferRequest.numbered(1)
        request.settings = #"{"region":"x"}"#
        request.overwrite = .skip
        request.expectedSHA256 = "ab"
        request.needsCommand = true
        let job = try await store.add([request], command: "cp", priority: 7).job
        let claim = try #require(try await store.claim(1, job: job).first)
        #expect(claim.request == request)
        #expect(claim.job == job)
        #expect(claim.priority == 7)
    }

    @Test("leaves a transfer that needs its command's secrets to that command")
    func needsCommand() async throws {
        var request = TransferRequest.numbered(1)
        request.needsCommand = true
        let job = try await store.add([request], command: "cp").job
        #expect(try await store.claim(1).isEmpty)
        #expect(try await store.outlook(job: nil).runnable == 0)
        #expect(try await store.outlook(job: job).runnable == 1)
        #expect(try await store.claim(1, job: job).count == 1)
    }

    @Test("prefers priority, and lets what waits longer than the bound go first")
    func ageing() async throws {
        let old = try await add(0..<1, priority: 0)
        time.advance(by: .milliseconds(Rank.ageStep * 2 - 1_000))
        let soon = try await add(1..<2, priority: 2)
        time.advance(by: .seconds(2))
        let late = try await add(2..<3, priority: 2)
        #expect(try await store.claim(3).map(\.id) == soon + old + late)
    }

    @Test("starves no one: under an endless stream of high priority the low one goes within its bound")
    func starvation() async throws {
        let low = try await add(0..<1, priority: -3)[0]
        var hours = 0
        for number in 1..<20 {
            _ = try await add(number..<number + 1, priority: 2)
            let claim = try #require(try await store.claim(1).first)
            if claim.id == low { break }
            try await store.finish(claim, .done())
            time.advance(by: .milliseconds(Rank.ageStep))
            hours += 1
        }
        #expect(hours == 5)
    }

    @Test("keeps to the host's limit, counts what runs, and serves the others past a busy host")
    func hosts() async throws {
        _ = try await add(0..<20, host: "https://busy")
        let others = try await add(0..<3, host: "https://calm")
        let claims = try await store.claim(limit: 10, job: nil, perHost: 2, running: ["https://busy": 1])
        #expect(claims.count(where: { $0.request.host == "https://busy" }) == 1)
        #expect(claims.count(where: { $0.request.host == "https://calm" }) == 2)
        let full = try await store.claim(limit: 10, job: nil, perHost: 2, running: ["https://busy": 2])
        #expect(full.map(\.id) == Array(others[2...]))
    }

    @Test("claims of one job only when asked")
    func jobs() async throws {
        _ = try await add(0..<3)
        let mine = try await store.add([.numbered(9)], command: "mine")
        #expect(try await store.claim(9, job: mine.job).map(\.id) == mine.transfers.map(\.id))
    }

    @Test("gives a delayed transfer out when it is due, and says when that is")
    func delayed() async throws {
        let id = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        try await store.fail(
            claim,
            SluiceError(.throttled, "slow down", retry: .backoff),
            retryAfter: .milliseconds(1_500)
        )
        #expect(try await state(id) == .delayed)
        time.advance(by: .milliseconds(1_400))
        #expect(try await store.claim(1).isEmpty)
        #expect(try await store.outlook(job: nil).nextDue == .milliseconds(100))
        time.advance(by: .milliseconds(100))
        #expect(try await store.outlook(job: nil).runnable == 1)
        let again = try #require(try await store.claim(1).first)
        #expect(again.attempts == 1)
        #expect(again.fence == 2)
    }

    @Test(
        "ends a failed transfer as its error says",
        arguments: [
            (SluiceError.Retry.never, TransferState.failed), (.park, .parked), (.backoff, .failed),
        ]
    )
    func failing(retry: SluiceError.Retry, expected: TransferState) async throws {
        let ids = try await add(0..<2)
        let claim = try #require(try await store.claim(1).first)
        let error = SluiceError(.notFound, "404", remedy: "look", retry: retry, cause: "gone")
        try await store.fail(claim, error, retryAfter: nil)
        let row = try #require(try await store.transfer(ids[0]))
        #expect(row.state == expected)
        #expect(row.errorCode == .notFound)
        #expect(row.errorMessage == "404 (gone)")
        #expect(row.errorRemedy == "look")
        #expect(try await state(ids[1]) == .queued)
        #expect(try await store.history(of: "https://a")?.failures == 1)
    }

    @Test("does not count a pause that the host asked for as an attempt")
    func pauses() async throws {
        _ = try await add(0..<1)
        var error = SluiceError(.throttled, "429", retry: .after(.zero))
        for isPause in [true, true, false, true] {
            error.gaveSlotUp = isPause
            let claim = try #require(try await store.claim(1).first)
            try await store.fail(claim, error, retryAfter: .zero)
        }
        #expect(try await store.claim(1).first?.attempts == 1)
    }

    @Test("takes a finish again under the same fence, and refuses it under an older one")
    func finishing() async throws {
        let id = try await add(0..<1)[0]
        let stale = try #require(try await store.claim(1).first)
        try await store.release([stale])
        let claim = try #require(try await store.claim(1).first)
        #expect(await codeThrown { try await store.finish(stale, .done()) } == .superseded)
        try await store.finish(claim, .done())
        try await store.finish(claim, .done())
        #expect(
            await codeThrown { try await store.fail(claim, SluiceError(.network, "late"), retryAfter: nil) }
                == .superseded
        )
        let row = try #require(try await store.transfer(id))
        #expect(row.state == .done)
        #expect(row.moved == 4)
        #expect(row.proof == .published)
    }

    @Test(
        "tells a worker by its heartbeat what the user wants, and ends the claim so",
        arguments: [
            (TransferState.paused), (.cancelled),
        ]
    )
    func wanted(state wanted: TransferState) async throws {
        let id = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        #expect(try await store.heartbeat([claim]).isEmpty)
        if wanted == .paused { try await store.pause(.transfers([id])) } else { try await store.cancel(.all) }
        #expect(try await store.heartbeat([claim]) == [id: wanted])
        try await store.release([claim])
        #expect(try await state(id) == wanted)
        #expect(try await store.claim(1).isEmpty)
    }

    @Test("lets a cancelled transfer have one end only: the one that came first")
    func cancelRace() async throws {
        let id = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        try await store.cancel(.transfers([id]))
        try await store.finish(claim, .done())
        #expect(try await state(id) == .done)
        #expect(try await store.cancel(.transfers([id])) == 0)
    }

    @Test("pauses, resumes, cancels, retries and reorders what is waiting")
    func control() async throws {
        let ids = try await add(0..<3)
        #expect(try await store.pause(.all) == 3)
        #expect(try await store.claim(3).isEmpty)
        #expect(try await store.resume(.transfers([ids[1], ids[2]])) == 2)
        #expect(try await store.setPriority(5, of: .transfers([ids[2]])) == 1)
        #expect(try await store.cancel(.transfers([ids[0]])) == 1)
        #expect(try await store.claim(3).map(\.id) == [ids[2], ids[1]])
        #expect(try await store.retry(.transfers([ids[0]])) == 1)
        #expect(try await store.claim(3).map(\.id) == [ids[0]])
    }

    @Test("takes up an unfinished transfer that is added again, and makes a new row for one that has ended")
    func addAgain() async throws {
        let first = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        let during = try await store.add([.numbered(0)], command: "again")
        #expect(during.transfers == [AddedTransfer(id: first, way: .underWay)])
        #expect(try await store.transfer(first)?.job == during.job)
        try await store.fail(claim, SluiceError(.noSpace, "full", retry: .park), retryAfter: nil)
        let after = try await store.add([.numbered(0)], command: "again")
        #expect(after.transfers == [AddedTransfer(id: first, way: .resumed)])
        let next = try #require(try await store.claim(1).first)
        #expect(next.id == first)
        #expect(next.attempts == 0)
        try await store.finish(next, .done())
        let fresh = try await store.add([.numbered(0)], command: "again")
        #expect(fresh.transfers.map(\.way) == [.new])
        #expect(fresh.transfers[0].id > first)
    }

    @Test("runs a transfer again that was added with another demand while it ran")
    func otherDemand() async throws {
        let id = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        var demanding = TransferRequest.numbered(0)
        demanding.expectedSHA256 = "ab"
        _ = try await store.add([demanding], command: "again")
        try await store.finish(claim, .done())
        #expect(try await state(id) == .queued)
        let again = try #require(try await store.claim(1).first)
        #expect(again.request.expectedSHA256 == "ab")
        try await store.finish(again, .done())
        #expect(try await state(id) == .done)
    }

    @Test("a failure says nothing of demands that came while it ran, and keeps what was moved")
    func failureUnderOtherDemands() async throws {
        let id = try await add(0..<1)[0]
        let claim = try #require(try await store.claim(1).first)
        try await store.journal(of: claim).begin(pin: .weak(size: 1, modified: nil), size: 1, partSize: 1)
        var demanding = TransferRequest.numbered(0)
        demanding.overwrite = .overwrite
        _ = try await store.add([demanding], command: "again")
        try await store.fail(claim, SluiceError(.exists, "something else is there"), retryAfter: nil)
        #expect(try await state(id) == .queued)
        let again = try #require(try await store.claim(1).first)
        #expect(again.request.overwrite == .overwrite && !again.isFresh && again.attempts == 0)
        try await store.fail(again, SluiceError(.exists, "something else is there"), retryAfter: nil)
        #expect(try await state(id) == .failed)
    }

    @Test("keeps apart the same names at two endpoints, and names that only look alike")
    func identity() async throws {
        var other = TransferRequest.numbered(0)
        other.settings = #"{"endpoint":"b"}"#
        let composed = TransferRequest(source: "/\u{E9}", target: "/t", host: "file")
        let decomposed = TransferRequest(source: "/e\u{301}", target: "/t", host: "file")
        let added = try await store.add([.numbered(0), other, composed, decomposed], command: "four").transfers
        #expect(Set(added.map(\.id)).count == 4)
    }

    @Test(
        "refuses a location that holds a password or a NUL byte",
        arguments: [
            "https://user:secret@host/a", "s3://bucket/a\0b",
        ]
    )
    func refuses(location: String) async throws {
        let request = TransferRequest(source: location, target: "/t", host: "file")
        #expect(await codeThrown { _ = try await store.add([request], command: "x") } == .usage)
        #expect(try await store.list(limit: 9).isEmpty)
    }

    @Test("writes nothing of a secret: a password is refused before it reaches the file")
    func secrets() async throws {
        var request = TransferRequest(source: "https://host/a?X-Amz-Signature=…", target: "/t", host: "https://host")
        request.needsCommand = true
        _ = try await store.add([request], command: "sluice cp -H … https://host/a /t")
        request.source = "https://user:canary@host/a"
        #expect(await codeThrown { _ = try await store.add([request], command: "x") } == .usage)
        try store.close()
        let text = String(decoding: try directory.read("state.db"), as: UTF8.self)
        #expect(text.contains("X-Amz-Signature=…"))
        #expect(!text.contains("canary"))
    }

    @Test("lists page by page, sums up, and counts jobs")
    func listing() async throws {
        let ids = try await add(0..<1_200)
        let claim = try #require(try await store.claim(1).first)
        try await store.finish(claim, .done())
        var seen: [TransferID] = []
        for try await row in store.rows() { seen.append(row.id) }
        #expect(seen == ids)
        #expect(try await store.list(states: [.done], limit: 9).map(\.id) == [ids[0]])
        let summary = try await store.summary()
        #expect(summary[.queued] == StateSummary(count: 1_199, size: 1_199 * 4, moved: 0))
        #expect(summary[.done] == StateSummary(count: 1, size: 4, moved: 4))
        let job = try #require(try await store.jobs(limit: 1).first)
        #expect(job.isListed)
        #expect(job.counts == [.queued: 1_199, .done: 1])
    }

    @Test("prunes what ended long ago, and the jobs that are empty then")
    func pruning() async throws {
        _ = try await add(0..<2)
        let claim = try #require(try await store.claim(1).first)
        try await store.finish(claim, .done())
        time.advance(by: .seconds(86_400))
        #expect(try await store.prune(olderThan: .seconds(86_401)) == 0)
        #expect(try await store.prune(olderThan: .seconds(80_000)) == 1)
        #expect(try await store.list(limit: 9).count == 1)
        #expect(try await store.jobs(limit: 9).count == 1)
    }

    @Test("keeps settings for a running worker")
    func settings() async throws {
        try await store.set("10M", for: "bwlimit")
        #expect(try await store.setting("bwlimit") == "10M")
        try await store.set(nil, for: "bwlimit")
        #expect(try await store.settings().isEmpty)
    }
}
