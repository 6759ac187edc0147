import SluiceBytes
import SluiceTestSupport
import Testing

@testable import SluicePipeline

@Suite(.timeLimit(.minutes(10))) struct WaitingTests {
    private let digest = SHA256.hash("x")
    private let stored = StoredObject(location: "there", size: 1, fingerprint: "f")

    @Test("Members of one shared read do not wait for each other, and others wait for them")
    func together() async throws {
        let table = InFlightTable()
        let group = ObjectIdentifier(table)
        guard case .owner = try await table.claim(digest, at: "s", group: group),
            case .together = try await table.claim(digest, at: "s", group: group)
        else { return #expect(Bool(false)) }
        let isWaiting = Latch()
        let other = Task { try await table.claim(digest, at: "s", willWait: isWaiting.open) }
        await isWaiting.wait()
        table.settle(digest, at: "s", stored: stored)
        guard case .stored = try await other.value else { return #expect(Bool(false)) }
    }

    @Test("Of equal digests one is fetched; the others get it, or the next one's turn when it failed")
    func inFlight() async throws {
        let table = InFlightTable()
        guard case .owner = try await table.claim(digest, at: "s") else { return #expect(Bool(false)) }
        guard case .owner = try await table.claim(digest, at: "other sink") else { return #expect(Bool(false)) }
        let ends = Locked((owners: 0, stored: 0))
        let object = stored
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<5 {
                group.addTask {
                    switch try await table.claim(digest, at: "s") {
                    case .owner:
                        let isFirst = ends.withLock { ends in
                            ends.owners += 1
                            return ends.owners == 1
                        }
                        table.settle(digest, at: "s", stored: isFirst ? nil : object)
                    case .stored: ends.withLock { $0.stored += 1 }
                    case .together: Issue.record("they have no group")
                    }
                }
            }
            table.settle(digest, at: "s", stored: nil)
            try await group.waitForAll()
        }
        #expect(ends.withLock { $0.owners } >= 2 && ends.withLock { $0.owners + $0.stored } == 5)
    }

    @Test("Whoever waits for a digest can be cancelled, before and while it waits")
    func inFlightCancelled() async throws {
        let table = InFlightTable()
        _ = try await table.claim(digest, at: "s")
        for yields in 0..<20 {
            let task = Task { try await table.claim(digest, at: "s") }
            for _ in 0..<yields { await Task.yield() }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        table.settle(digest, at: "s", stored: nil)
        guard case .owner = try await table.claim(digest, at: "s") else { return #expect(Bool(false)) }
    }

    @Test("A turnstile lets one through at a time, in their order, and a failure opens it again")
    func turnstile() async throws {
        let turnstile = Turnstile()
        let inside = Gauge()
        let entered = Locked<[Int]>([])
        let latch = Latch()
        let first = Task { await turnstile.pass { await latch.wait() } }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<20 {
                group.addTask {
                    try? await turnstile.pass {
                        inside.enter()
                        entered.withLock { $0.append(index) }
                        await Task.yield()
                        inside.leave()
                        throw CancellationError()
                    }
                }
            }
            latch.open()
            try await group.waitForAll()
        }
        await first.value
        #expect(inside.peak == 1 && entered.withLock { $0.count } == 20)
    }

    @Test("Numbered steps happen in the order of their numbers")
    func sequencer() async throws {
        let sequencer = Sequencer(first: 3)
        let order = Locked<[Int]>([])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in (3..<30).shuffled() {
                group.addTask {
                    try await sequencer.wait(for: number)
                    order.withLock { $0.append(number) }
                    sequencer.advance(past: number)
                }
            }
            try await group.waitForAll()
        }
        #expect(order.withLock { $0 } == Array(3..<30))
    }

    @Test("A failure wakes every step, now and later")
    func sequencerFailure() async {
        let sequencer = Sequencer()
        let tasks = (1...5).map { number in Task { try await sequencer.wait(for: number) } }
        sequencer.fail(SluiceError(.network, "reset"))
        for task in tasks { await #expect(throws: SluiceError.self) { try await task.value } }
        await #expect(throws: SluiceError.self) { try await sequencer.wait(for: 0) }
    }

    @Test("Another lane is admitted while it brings more, and none after the host complained")
    func laneGate() async {
        let gate = LaneGate(initial: 1, maximum: 3)
        let second = Task { await gate.admit(1) }
        gate.received(1, now: .zero)
        gate.received(1000, now: .milliseconds(499))
        #expect(gate.allowed == 1)
        gate.received(1000, now: .milliseconds(500))
        #expect(gate.allowed == 2)
        #expect(await second.value)
        gate.received(1900, now: .seconds(1))
        #expect(gate.allowed == 2, "not enough of a gain: it stays")
        gate.received(1_000_000, now: .seconds(2))
        #expect(gate.allowed == 2, "settled")
        gate.backOff()
        gate.backOff()
        #expect(gate.allowed == 1)
        let waiting = Task { await gate.admit(2) }
        gate.finish()
        #expect(await !waiting.value)
        #expect(await !gate.admit(0))
    }

    @Test("Lanes follow the connections that the host takes: one more, to complete a part meanwhile")
    func lanesFollowConnections() async {
        let gate = LaneGate(initial: 8, maximum: 8)
        gate.follow(connections: 1)
        #expect(gate.allowed == 2)
        let third = Task { await gate.admit(2) }
        gate.follow(connections: 2)
        #expect(await third.value && gate.allowed == 3)
        gate.backOff()
        gate.backOff()
        #expect(gate.allowed == 2)
    }

    @Test("A refused connection waits for one that ends, the lowest part first")
    func connectionGate() async throws {
        let gate = ConnectionGate()
        #expect(gate.refused() == nil, "nothing is served: only time helps")
        for part in 0..<4 { try await gate.enter(for: part) }
        #expect(gate.beginServed() == nil)
        #expect(gate.refused() == 1 && !gate.hasRoom)
        let order = Locked<[Int]>([])
        let waiting = [3, 1, 2].map { part in
            Task.immediate {
                gate.leave()
                try await gate.enter(for: part)
                order.withLock { $0.append(part) }
            }
        }
        // One by one, each after the last one's end.
        for count in 0..<3 {
            for _ in 0..<100 { await Task.yield() }
            #expect(order.withLock { $0.count } == count)
            if count == 0 { gate.endServed() }
            gate.leave()
            await until { order.withLock { $0.count } == count + 1 }
        }
        for task in waiting { try await task.value }
        #expect(order.withLock { $0 } == [1, 2, 3])
        gate.leave()
        #expect(gate.hasRoom)
    }

    @Test("A host that serves more than it was believed to is believed; the end lets everyone go")
    func connectionGateEnd() async throws {
        let gate = ConnectionGate(limit: 0)
        try await gate.enter(for: 0)
        let second = Task.immediate { try await gate.enter(for: 1) }
        #expect(gate.beginServed() == nil)
        #expect(gate.beginServed() == 2)
        try await second.value
        let third = Task.immediate { try await gate.enter(for: 2) }
        gate.finish()
        await #expect(throws: CancellationError.self) { try await third.value }
    }

    @Test("A bell is heard once, also when it rang before, and by a cancelled task")
    func wakeUp() async {
        let bell = WakeUp()
        bell.ring()
        bell.ring()
        await bell.wait()
        let woken = Locked(false)
        let task = Task {
            await bell.wait()
            woken.withLock { $0 = true }
        }
        for _ in 0..<50 { await Task.yield() }
        #expect(!woken.withLock { $0 }, "rings are merged")
        bell.ring()
        await task.value
        let cancelled = Task { await bell.wait() }
        cancelled.cancel()
        await cancelled.value
    }

    @Test("A switch cancels its body with a reason; a body that succeeds all the same has succeeded")
    func cancelSwitch() async throws {
        let thrown = CancelSwitch()
        thrown.cancel(.paused)
        thrown.cancel(.cancelled)
        await #expect(throws: CancellationError.self) {
            try await thrown.guarding {
                while !Task.isCancelled { await Task.yield() }
                throw SluiceError(.network, "aborted")
            }
        }
        #expect(thrown.reason == .paused)

        let late = CancelSwitch()
        let began = Latch()
        let task = Task {
            try await late.guarding {
                began.open()
                while !Task.isCancelled { await Task.yield() }
                return 7
            }
        }
        await began.wait()
        late.cancel(.queued)
        #expect(try await task.value == 7)

        let failing = CancelSwitch()
        await #expect(throws: SluiceError.self) { try await failing.guarding { throw SluiceError(.network, "reset") } }
        #expect(failing.reason == nil)
        #expect(try await CancelSwitch().guarding { 1 } == 1)
    }
}

@Suite(.timeLimit(.minutes(10))) struct EventStreamTests {
    private let stream = EventStream()
    private let outcome = TransferOutcome(
        state: .done,
        proof: .transport,
        sha256: nil,
        size: 1,
        moved: 1,
        stored: StoredObject(location: "there", size: 1, fingerprint: "f")
    )

    @Test("A slow observer gets the newest progress of each transfer, every other event, and sees the gap")
    func merged() async throws {
        let subscription = stream.subscribe()
        for done in 1...1000 {
            for id in 1...3 { stream.publish(.progress(done: UInt64(done)), of: TransferID(Int64(id))) }
        }
        stream.publish(.finished(outcome), of: TransferID(2))
        stream.publish(.progress(done: 5000), of: TransferID(2))
        stream.publish(.warning("w"))
        let events = try #require(await subscription.next())
        #expect(events.count == 6)
        #expect(Set(events.map(\.sequence)).count == 6 && events.map(\.sequence).max() == 3003)
        let second = events.filter { $0.transfer == TransferID(2) }
        #expect(second.map(\.sequence) == second.map(\.sequence).sorted(), "the order within a transfer is kept")
        guard case .progress(1000) = second[0].kind, case .finished = second[1].kind else {
            return #expect(Bool(false), "\(second)")
        }
    }

    @Test("No end of a transfer is lost by any of many observers, however fast they are")
    func noLostEnds() async {
        let subscriptions = (0..<3).map { _ in stream.subscribe() }
        let outcome = outcome
        let counts = await withTaskGroup(of: Int?.self) { group in
            for subscription in subscriptions {
                group.addTask {
                    var ends = 0
                    while let events = await subscription.next() {
                        for event in events { if case .finished = event.kind { ends += 1 } }
                    }
                    return ends
                }
            }
            for publisher in 0..<4 {
                group.addTask {
                    for index in 0..<500 {
                        let id = TransferID(Int64(publisher * 1000 + index))
                        self.stream.publish(.progress(done: 1), of: id)
                        self.stream.publish(.finished(outcome), of: id)
                    }
                    return nil
                }
            }
            for _ in 0..<4 { while let next = await group.next(), next != nil {} }
            self.stream.close()
            var counts: [Int] = []
            for await count in group { if let count { counts.append(count) } }
            return counts
        }
        #expect(counts == [2000, 2000, 2000])
    }

    @Test("An observer of batches is woken by a batch, by a nudge if there is something, and by the end")
    func batches() async {
        let subscription = stream.subscribe(batch: 3)
        async let first = subscription.next()
        for text in ["a", "b", "c"] { stream.publish(.warning(text)) }
        #expect(await first?.count == 3)
        subscription.nudge()
        async let second = subscription.next()
        stream.publish(.warning("d"))
        #expect(await second?.count == 1, "nudged while nothing was there: the next event is brought")
        stream.publish(.warning("e"))
        async let third = subscription.next()
        subscription.nudge()
        #expect(await third?.count == 1)
        stream.publish(.warning("f"))
        async let last = subscription.next()
        stream.close()
        #expect(await last?.count == 1)
        #expect(await subscription.next() == nil)
    }

    @Test("Closing ends a subscription after what is pending")
    func closing() async {
        let subscription = stream.subscribe()
        stream.publish(.warning("last"))
        stream.close()
        #expect(await subscription.next()?.count == 1)
        #expect(await subscription.next() == nil)
        #expect(await stream.subscribe().next() == nil)
    }

    @Test("A cancelled observer stops waiting, and nothing is kept for one that is gone")
    func cancelled() async {
        let task = Task { [stream] in await stream.subscribe().next() }
        for _ in 0..<20 { await Task.yield() }
        task.cancel()
        #expect(await task.value == nil)
        #expect(stream.subscriberCount == 0)
    }
}
