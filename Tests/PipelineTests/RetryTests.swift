import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite(.timeLimit(.minutes(10))) struct RetryPolicyTests {
    @Test(
        "One table says when a failed step is tried again",
        arguments: [
            (.never, 1, 0.5, .giveUp),
            (.park, 1, 0.5, .giveUp),
            (.restart, 1, 0.5, .giveUp),
            (.immediately, 1, 0.5, .wait(.zero)),
            (.immediately, 2, 0.5, .wait(.milliseconds(500))),
            (.backoff, 1, 0.5, .wait(.milliseconds(250))),
            (.backoff, 2, 1, .wait(.seconds(1))),
            (.backoff, 9, 1, .wait(.seconds(60))),
            (.backoff, 9, 0, .wait(.zero)),
            (.backoff, 10, 0.5, .giveUp),
            (.after(.seconds(30)), 1, 0.5, .wait(.seconds(30))),
            (.after(.zero), 2, 1, .wait(.seconds(1))),
            (.after(.seconds(3600)), 1, 0.5, .wait(.seconds(3600))),
            (.after(.seconds(3601)), 1, 0.5, .giveUp),
            (.after(.seconds(Int64.max)), 1, 0.5, .giveUp),
            (.after(.seconds(1)), 10, 0.5, .giveUp),
        ] as [(SluiceError.Retry, Int, Double, RetryPolicy.Decision)]
    )
    func table(retry: SluiceError.Retry, failures: Int, jitter: Double, decision: RetryPolicy.Decision) {
        let error = SluiceError(.network, "reset", retry: retry)
        #expect(RetryPolicy().decide(error, failures: failures, jitter: jitter) == decision)
    }

    @Test("Jitter outside 0...1 and any number of failures stay within the cap")
    func bounds() {
        let policy = RetryPolicy(patience: .max)
        let error = SluiceError(.network, "reset", retry: .backoff)
        #expect(policy.decide(error, failures: .max - 1, jitter: 7) == .wait(.seconds(60)))
        #expect(policy.decide(error, failures: 0, jitter: -1) == .wait(.zero))
    }

    @Test("What seldom passes by waiting gets a few tries", arguments: [SluiceError.Code.badAnswer, .unknownHost])
    func shortPatience(code: SluiceError.Code) {
        let error = SluiceError(code, "two lengths", retry: .backoff)
        #expect(RetryPolicy().decide(error, failures: 2, jitter: 1) == .wait(.seconds(1)))
        #expect(RetryPolicy().decide(error, failures: 3, jitter: 1) == .giveUp)
        #expect(RetryPolicy(patience: 1).decide(error, failures: 1, jitter: 1) == .giveUp)
    }
}

@Suite(.timeLimit(.minutes(10))) struct HostBookTests {
    private let time = ManualTime()
    private let book: HostBook
    private let failure = SluiceError(.serverFailed, "503", retry: .backoff)

    init() { book = HostBook(time: time, jitter: { 0.5 }) }

    /// Whether the host may be asked right now.
    private func isAdmitted(_ host: String) async -> Bool {
        let before = time.slept.count
        let task = Task { try await book.admit(host) }
        let admitted = Locked(false)
        let observer = Task {
            if case .success = await task.result { admitted.withLock { $0 = true } }
        }
        await until { time.slept.count > before || admitted.withLock { $0 } }
        let result = admitted.withLock { $0 }
        task.cancel()
        await observer.value
        return result
    }

    private func isAdmitted(_ host: String, times: Int) async -> Bool {
        for _ in 0..<times { if await !isAdmitted(host) { return false } }
        return true
    }

    @Test("A pause that a server asks for holds for everyone, whatever others hear meanwhile")
    func retryAfter() async throws {
        #expect(await isAdmitted("a"))
        let decision = book.failed("a", SluiceError(.throttled, "429", retry: .after(.seconds(30))), failures: 1)
        #expect(decision == .wait(.seconds(30)))
        #expect(await !isAdmitted("a"))
        #expect(await isAdmitted("b"), "other hosts are not concerned")
        book.succeeded("a")
        #expect(await !isAdmitted("a"), "a request that was under way ended well")
        _ = book.failed("a", SluiceError(.notFound, "404"), failures: 1)
        #expect(await !isAdmitted("a"), "and another one was answered")
        let waiting = Task { try await book.admit("a") }
        await until { time.sleeperCount == 1 }
        time.advance(by: .seconds(29))
        #expect(time.sleeperCount == 1)
        time.advance(by: .seconds(1))
        try await waiting.value
    }

    @Test("A pause longer than the policy's is not waited for by anyone")
    func tooLong() async {
        let long = SluiceError(.throttled, "429", retry: .after(.seconds(7200)))
        #expect(book.failed("a", long, failures: 1) == .giveUp)
        #expect(await isAdmitted("a"))
    }

    @Test("After five failures in a row one caller at a time probes the host")
    func breaker() async {
        for count in 1...4 {
            _ = book.failed("a", failure, failures: count)
            #expect(await isAdmitted("a", times: 2))
        }
        _ = book.failed("a", failure, failures: 5)
        #expect(await isAdmitted("a"), "the probe")
        #expect(await !isAdmitted("a"))
        _ = book.failed("a", failure, failures: 6)
        #expect(await isAdmitted("a"), "the next probe")
        #expect(await !isAdmitted("a"))
        book.abandoned("a")
        #expect(await isAdmitted("a"), "the probe went away without an answer")
        book.succeeded("a")
        #expect(await isAdmitted("a", times: 3))
    }

    @Test("An answer that no retry changes shows that the host is up")
    func answered() async {
        for count in 1...5 { _ = book.failed("a", failure, failures: count) }
        #expect(await isAdmitted("a"))
        _ = book.failed("a", SluiceError(.notFound, "404"), failures: 1)
        #expect(await isAdmitted("a", times: 2))
    }

    @Test("What a host takes in connections is remembered for some minutes, of that host only")
    func connectionLimit() {
        book.noteConnectionLimit(3, of: "a")
        book.succeeded("a")
        #expect(book.connectionLimit("a") == 3 && book.connectionLimit("b") == nil)
        time.advance(by: .seconds(299))
        #expect(book.connectionLimit("a") == 3)
        time.advance(by: .seconds(1))
        #expect(book.connectionLimit("a") == nil)
    }

    @Test("A throttled host is left alone by all for the back-off of one")
    func sharedBackOff() async {
        _ = book.failed("a", SluiceError(.throttled, "503 SlowDown", retry: .backoff), failures: 3)
        #expect(await !isAdmitted("a"))
        time.advance(by: .seconds(1))
        #expect(await isAdmitted("a"))
    }
}

@Suite(.timeLimit(.minutes(10))) struct RetryingTests {
    private let time = ManualTime(advancesItself: true)
    private let resources: PipelineResources

    init() { resources = PipelineResources(memory: .mebibytes(1), time: time, jitter: { 0.5 }) }

    private var retrying: Retrying { Retrying(resources: resources, transfer: TransferID(1)) }

    @Test("Progress between failures starts their count anew")
    func progress() async throws {
        let calls = Locked(0)
        let result = try await retrying.run(
            host: "a",
            object: "o",
            progress: { UInt64(calls.withLock { $0 }) },
            {
                let call = calls.withLock { calls in
                    calls += 1
                    return calls
                }
                if call < 50 { throw SluiceError(.network, "reset", retry: .backoff) }
                return call
            }
        )
        #expect(result == 50)
    }

    @Test("The error of the last attempt is told, with its object")
    func lastError() async {
        let failure = await #expect(throws: SluiceError.self) {
            try await retrying.run(host: "a", object: "o") { throw SluiceError(.notFound, "gone") }
        }
        #expect(failure?.object == "o" && failure?.code == .notFound)
        struct Strange: Error {}
        let strange = await #expect(throws: SluiceError.self) {
            try await retrying.run(host: "a", object: "o") { throw Strange() }
        }
        #expect(strange?.code == .internalFault && strange?.retry == .never)
    }

    @Test(
        "A long pause that the host asks for ends the run where a queue runs it again, and nowhere else",
        arguments: [
            (20, true, true, nil, true), (20, true, true, false, false), (20, true, false, true, true),
            (20, true, false, nil, false), (20, false, true, nil, false), (4, true, true, nil, false),
        ] as [(Int, Bool, Bool, Bool?, Bool)]
    )
    func pause(seconds: Int, hasQueue: Bool, mayEver: Bool, mayNow: Bool?, isGivenUp: Bool) async throws {
        var resources = resources
        resources.hasQueue = hasQueue
        let calls = Locked(0)
        for transfer in [TransferID(1), TransferID(2)] {
            let retrying = Retrying(resources: resources, transfer: transfer, mayGiveUpSlot: mayEver)
            let result = await Task {
                try await retrying.run(host: "a", object: "o", mayGiveUpSlot: mayNow.map { may in { may } }) {
                    let call = calls.withLock { calls in
                        calls += 1
                        return calls
                    }
                    if call == 1 { throw SluiceError(.throttled, "503", retry: .after(.seconds(seconds))) }
                }
            }.result
            // The second one is not even begun.
            #expect(calls.withLock { $0 } == (isGivenUp ? 1 : transfer.value == 1 ? 2 : 3))
            guard isGivenUp else {
                try result.get()
                continue
            }
            let error = #expect(throws: SluiceError.self) { try result.get() }
            #expect(error?.retry == .after(.seconds(seconds)) && error?.gaveSlotUp == true && error?.object == "o")
        }
        // Planning has no slot.
        try await Retrying(resources: resources).run(host: "a", object: "o") {}
    }

    @Test("A cancelled step is a cancellation, whatever it throws, and leaves no probe behind")
    func cancelled() async throws {
        for count in 1...5 {
            _ = resources.hosts.failed("a", SluiceError(.network, "reset", retry: .backoff), failures: count)
        }
        let began = Latch()
        let task = Task {
            try await retrying.run(host: "a", object: "o") {
                began.open()
                while !Task.isCancelled { await Task.yield() }
                throw SluiceError(.network, "aborted", retry: .backoff)
            }
        }
        await began.wait()
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        try await resources.hosts.admit("a")
    }
}
