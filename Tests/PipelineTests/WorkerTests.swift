import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

/// Sources by name, and one sink.
final class FakeResolver: TransferResolver {
    private let sources = Locked<[String: FakeSource]>([:])
    let sink = FakeSink(.parts)

    func add(_ name: String, _ source: FakeSource) { sources.withLock { $0[name] = source } }

    func resolve(_ request: TransferRequest) async throws -> (source: any SourceObject, target: any SinkTarget) {
        guard let source = sources.withLock({ $0[request.target] }) else {
            throw SluiceError(.usage, "no such source")
        }
        return (source, sink.target(request.target))
    }
}

@Suite(.timeLimit(.minutes(10))) struct WorkerTests {
    private let time: ManualTime
    private let queue: MemoryQueue
    private let resolver = FakeResolver()
    private let resources: PipelineResources

    init() { self.init(ManualTime(advancesItself: true)) }

    private init(_ time: ManualTime) {
        self.time = time
        queue = MemoryQueue(time: time)
        resources = PipelineResources(memory: .mebibytes(64), time: time, jitter: { 0.5 })
    }

    private func worker(transfers: Int = 2, perHost: Int? = nil, runs: Int = 5, isFed: Bool = false) -> Worker {
        Worker(
            queue: queue,
            resolver: resolver,
            configuration: WorkerConfiguration(transfers: transfers, perHost: perHost, runs: runs),
            resources: resources,
            isFed: isFed
        )
    }

    @discardableResult
    private func add(
        _ name: String,
        host: String = "https://fake",
        priority: Int = 0,
        job: Int64 = 1,
        _ before: (@Sendable (Int, UInt64) async throws -> Void)? = nil
    ) -> TransferID {
        var script = FakeSource.Script()
        script.beforeChunk = before
        resolver.add(name, FakeSource(TestBytes.make(1000, seed: UInt64(name.count)), host: host, script: script))
        return queue.add(name, host: host, priority: priority, job: job)
    }

    private static func runsWhereItMayBlock() -> Bool {
        withUnsafeCurrentTask { $0?.unownedTaskExecutor == BlockingExecutor.shared.asUnownedTaskExecutor() }
    }

    /// Holds a transfer until it is cancelled.
    private static let forEver: @Sendable (Int, UInt64) async throws -> Void = { _, _ in
        try await untilCancelled()
    }

    @Test("Everything in the queue is run, best priority first, and the summary counts it")
    func priorities() async throws {
        let ids = [add("a", priority: 1), add("b", priority: 9), add("c", priority: 5)]
        let summary = try await worker(transfers: 1).run(job: nil)
        #expect(queue.claimed == [ids[1], ids[2], ids[0]])
        #expect(summary.states == [.done: 3] && summary.bytes == 3000 && summary.moved == 3000 && !summary.stopped)
        #expect(resources.budget.usage.held == 0)
    }

    @Test("Siblings run together, however few slots there are, and their source is read once")
    func siblings() async throws {
        // A clock that stands still: who comes late is waited for.
        let time = ManualTime()
        let queue = MemoryQueue(time: time)
        let resources = PipelineResources(memory: .mebibytes(64), time: time, jitter: { 0.5 })
        let source = FakeSource(TestBytes.make(1000))
        for name in ["a", "b", "c"] {
            resolver.add(name, source)
            queue.add(name, fanOut: 1)
        }
        // Only its own siblings: the same number in another job is another object.
        let other = FakeSource(TestBytes.make(1000, seed: 2))
        resolver.add("d", other)
        queue.add("d", job: 2, fanOut: 1)
        let worker = Worker(
            queue: queue,
            resolver: resolver,
            configuration: WorkerConfiguration(transfers: 1, perHost: 1),
            resources: resources
        )
        #expect(try await worker.run(job: nil).states == [.done: 4])
        #expect(source.bytesYielded == 1000 && source.opens == 1 && other.bytesYielded == 1000)
        #expect(["a", "b", "c"].allSatisfy { resolver.sink.object($0) == TestBytes.make(1000) })
        await until { resources.budget.usage.held == 0 }
    }

    @Test("A sibling that runs again after the others have ended runs alone")
    func siblingAgain() async throws {
        let time = ManualTime()
        let queue = MemoryQueue(time: time)
        let resources = PipelineResources(memory: .mebibytes(64), time: time, jitter: { 0.5 })
        let source = FakeSource(TestBytes.make(1000))
        for name in ["a", "b"] {
            resolver.add(name, source)
            queue.add(name, fanOut: 1)
        }
        resolver.sink.faults.add(SluiceError(.network, "reset", retry: .restart), to: "commit")
        let worker = Worker(
            queue: queue,
            resolver: resolver,
            configuration: WorkerConfiguration(),
            resources: resources
        )
        #expect(try await worker.run(job: nil).states == [.done: 2])
        #expect(source.opens == 2)
    }

    @Test("Only the job that was asked for is run")
    func oneJob() async throws {
        let other = add("a", job: 1)
        add("b", job: 2)
        #expect(try await worker().run(job: JobID(2)).states == [.done: 1])
        #expect(queue.row(other)?.state == .queued)
    }

    @Test("Never more transfers of a host at once than it may have, even when short ones are claimed ahead")
    func hostLimit() async throws {
        let gauge = Gauge()
        for index in 0..<24 {
            add(String(repeating: "x", count: index + 1), host: "https://one") { _, offset in
                if offset == 0 { gauge.enter() }
                for _ in 0..<5 { await Task.yield() }
                if offset > 0 { gauge.leave() }
            }
        }
        let summary = try await worker(transfers: 8, perHost: 2).run(job: nil)
        #expect(summary.states == [.done: 24])
        #expect(gauge.peak <= 2)
    }

    @Test("Short transfers get more slots than long ones, and everything runs where it may block")
    func shortTransfers() async throws {
        // A clock that stands still: however slow the machine is, all end within one second.
        let still = WorkerTests(ManualTime())
        let gauge = Gauge()
        let mayBlock = Locked(true)
        for index in 0..<400 {
            still.add("\(index)", host: "https://one") { _, offset in
                if !WorkerTests.runsWhereItMayBlock() { mayBlock.withLock { $0 = false } }
                if offset == 0 { gauge.enter() }
                for _ in 0..<5 { await Task.yield() }
                if offset > 0 { gauge.leave() }
            }
        }
        let worker = Worker(
            queue: still.queue,
            resolver: still.resolver,
            configuration: WorkerConfiguration(transfers: 2, shortTransfers: 12),
            resources: still.resources
        )
        #expect(try await worker.run(job: nil).states == [.done: 400])
        #expect((3...12).contains(gauge.peak))
        #expect(mayBlock.withLock { $0 })
    }

    @Test("A busy host keeps nothing from the others, however short its transfers were")
    func busyHost() async throws {
        let others = 40
        for index in 0..<60 {
            let isSlow = index >= 20
            add("a\(index)", host: "https://a", priority: 1) { [sink = resolver.sink] _, _ in
                if isSlow { await until { (0..<others).allSatisfy { sink.object("b\($0)") != nil } } }
            }
        }
        for index in 0..<others { add("b\(index)", host: "https://b") }
        let summary = try await worker(transfers: 4, perHost: 1).run(job: nil)
        #expect(summary.states == [.done: 60 + others])
    }

    @Test("One failure leaves the others alone")
    func oneFailure() async throws {
        let bad = add("bad") { _, _ in throw SluiceError(.notFound, "gone") }
        for name in ["a1", "a22", "a333"] { add(name) }
        let summary = try await worker().run(job: nil)
        #expect(summary.states == [.done: 3, .failed: 1] && summary.failures == [.notFound: 1])
        #expect(queue.row(bad)?.error?.code == .notFound)
    }

    @Test(
        "A failure's kind decides about the next run",
        arguments: [
            (.never, 5, [nil], .failed),
            (.park, 5, [nil], .parked),
            (.restart, 5, [.zero, .zero, nil], .failed),
            (.after(.seconds(7000)), 5, [nil], .parked),
            (.backoff, 3, [.seconds(5), .seconds(10), nil], .failed),
            (.backoff, 1, [nil], .failed),
        ] as [(SluiceError.Retry, Int, [Duration?], TransferState)]
    )
    func decisions(retry: SluiceError.Retry, runs: Int, waits: [Duration?], end: TransferState) async throws {
        let id = add("a") { _, _ in throw SluiceError(.serverFailed, "no", retry: retry) }
        let summary = try await worker(runs: runs).run(job: nil)
        #expect(queue.row(id)?.waits == waits)
        #expect(queue.row(id)?.state == end && summary.states == [end: 1])
    }

    @Test("Transfers of a host that wants a long pause leave their slots to others, and it costs them no run")
    func longPause() async throws {
        // A clock that stands still: no pause ends before the others had their turn.
        let still = WorkerTests(ManualTime())
        let order = Locked<[String]>([])
        let pauses = Locked(12)
        for name in ["a", "aa"] {
            still.add(name, host: "https://slow", priority: 9) { _, offset in
                order.withLock { $0.append(name) }
                let isPaused = pauses.withLock { count in
                    defer { count -= 1 }
                    return count > 0
                }
                if isPaused { throw SluiceError(.throttled, "503", retry: .after(.seconds(20))) }
            }
        }
        for name in ["bbb", "bbbb", "bbbbb"] { still.add(name) { _, _ in order.withLock { $0.append(name) } } }
        async let run = still.worker(transfers: 1, runs: 2).run(job: nil)
        await until { still.queue.count(.done) == 3 }
        while still.queue.count(.done) < 5, !Task.isCancelled {
            still.time.advance(by: .seconds(20))
            await Task.yield()
        }
        #expect(try await run.states == [.done: 5])
        let names = order.withLock { $0 }
        let lastOther = try #require(names.lastIndex { $0.hasPrefix("b") })
        #expect(names[..<lastOther].count { $0.hasPrefix("a") } == 1, "\(names)")
    }

    @Test("Pauses without end are given up like failures without end")
    func endlessPause() async throws {
        let id = add("a") { _, _ in throw SluiceError(.throttled, "503", retry: .after(.seconds(20))) }
        #expect(try await worker(runs: 2).run(job: nil).states == [.failed: 1])
        #expect(queue.row(id)?.waits.count == 20 && queue.row(id)?.error?.code == .throttled)
    }

    @Test("A transfer that failed once is done on its next run")
    func nextRun() async throws {
        let failures = Locked(1)
        let id = add("a") { _, _ in
            let fails = failures.withLock { count in
                defer { count -= 1 }
                return count > 0
            }
            if fails { throw SluiceError(.sourceChanged, "changed", retry: .restart) }
        }
        #expect(try await worker().run(job: nil).states == [.done: 1])
        #expect(queue.row(id)?.waits == [.zero])
    }

    @Test(
        "The user's pause and cancel reach a running transfer by the heartbeat",
        arguments: [
            TransferState.paused, .cancelled,
        ]
    )
    func wishes(wish: TransferState) async throws {
        let id = add("a", nil)
        let held = add("bb", Self.forEver)
        queue.wish(wish, for: held)
        let summary = try await worker().run(job: nil)
        #expect(queue.row(held)?.state == wish && queue.row(id)?.state == .done)
        #expect(summary.states == [.done: 1, wish: 1])
    }

    @Test("stop() gives running and claimed transfers back, and what they moved stays")
    func stopping() async throws {
        for index in 0..<5 { add(String(repeating: "s", count: index + 1), Self.forEver) }
        let worker = worker(transfers: 2)
        async let run = worker.run(job: nil)
        await until { queue.count(.running) == 2 && resolver.sink.unfinished >= 1 }
        worker.stop()
        let summary = try await run
        #expect(summary.stopped && queue.count(.queued) == 5 && queue.count(.running) == 0)
    }

    @Test("stop() while claims are on their way starts none of them for long", arguments: 0..<20)
    func stoppedWhileClaiming(round: Int) async throws {
        for index in 0..<4 { add(String(repeating: "s", count: index + 1), Self.forEver) }
        let worker = worker(transfers: 4)
        async let run = worker.run(job: nil)
        for _ in 0..<round { await Task.yield() }
        worker.stop()
        #expect(try await run.stopped)
        #expect(queue.count(.queued) == 4)
    }

    @Test("A cancelled run gives everything back and ends")
    func cancelledRun() async throws {
        for index in 0..<3 { add(String(repeating: "s", count: index + 1), Self.forEver) }
        let worker = worker(transfers: 2)
        let task = Task { try await worker.run(job: nil) }
        await until { queue.count(.running) == 2 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(queue.count(.queued) == 3)
    }

    @Test("A cancelled run ends while it waits for rows")
    func cancelledWatch() async throws {
        let worker = worker()
        let task = Task { try await worker.run(job: nil, watch: true) }
        await until { time.slept.count > 2 }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(
        "A queue that fails ends the run with its error, and transfers are given back",
        arguments: [
            "claim", "heartbeat", "finish", "outlook",
        ]
    )
    func failingQueue(step: String) async throws {
        if step != "outlook" { add("a", step == "heartbeat" ? Self.forEver : nil) }
        // The end of a transfer is tried as a failure once more.
        if step == "finish" { queue.faults.add(SluiceError(.state, "disk full"), to: "fail") }
        queue.faults.add(SluiceError(.state, "disk full"), to: step)
        let result = await Task { try await worker().run(job: nil) }.result
        #expect { try result.get() } throws: { ($0 as? SluiceError)?.code == .state }
        #expect(queue.count(.running) == (step == "finish" ? 1 : 0))
    }

    @Test("A lease that was lost is not an end of the transfer")
    func lostLease() async throws {
        queue.faults.add(SluiceError(.superseded, "another worker has it"), to: "finish")
        add("a")
        #expect(try await worker().run(job: nil).states.isEmpty)
    }

    @Test("What somebody else holds at a source or a sink is a failure like any other, not a lost lease")
    func heldElsewhere() async throws {
        add("a") { _, _ in throw SluiceError(.leased, "swept", retry: .never) }
        let summary = try await worker().run(job: nil)
        #expect(summary.failures == [.leased: 1] && queue.count(.failed) == 1)
    }

    @Test("A fed queue is waited for until the feed ends")
    func fed() async throws {
        let worker = worker(isFed: true)
        async let run = worker.run(job: nil)
        add("a")
        worker.noteAdded()
        await until { queue.count(.done) == 1 }
        add("bb")
        worker.noteAdded()
        worker.endFeed()
        #expect(try await run.states == [.done: 2])
    }

    @Test("Transfers of another worker are waited for")
    func elsewhere() async throws {
        queue.setElsewhere(1)
        let worker = worker()
        async let run = worker.run(job: nil)
        await until { time.slept.count > 3 }
        queue.setElsewhere(0)
        #expect(try await run.states.isEmpty)
    }
}

/// How many are inside at once.
final class Gauge: Sendable {
    private let state = Locked((now: 0, peak: 0))

    var peak: Int { state.withLock { $0.peak } }

    func enter() {
        state.withLock { state in
            state.now += 1
            state.peak = max(state.peak, state.now)
        }
    }

    func leave() { state.withLock { $0.now -= 1 } }
}
