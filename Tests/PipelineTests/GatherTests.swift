import Glibc
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluicePipeline

@Suite("Gathering for a round", .timeLimit(.minutes(10)))
struct GatherTests {
    @Test("nobody is waited for until a round carried several, nor after one that carried a single one")
    func single() {
        var policy = GatherPolicy()
        #expect(policy.wanted == 1, "nothing was carried yet")
        for _ in 0..<100 {
            policy.carried(1)
            #expect(policy.wanted == 1)
        }
        policy.carried(2)
        #expect(policy.wanted == 4)
        policy.carried(1)
        #expect(policy.wanted == 1)
    }

    @Test("as many as run side by side are found out, with few vain tries", arguments: [2, 4, 7, 30])
    func finding(sideBySide: Int) {
        var policy = GatherPolicy()
        var vain = 0
        policy.carried(2)
        for _ in 0..<1_000 {
            let wanted = policy.wanted
            if wanted > sideBySide { vain += 1 }
            policy.carried(min(wanted, sideBySide))
        }
        #expect(vain > 10, "more would be noticed")
        #expect(vain < 100)
    }

    @Test("what keeps coming is gathered up to the most", arguments: [1, 2, 32, 1_000])
    func most(_ most: Int) {
        var policy = GatherPolicy(most: most)
        for _ in 0..<20 { policy.carried(max(2, policy.wanted)) }
        #expect(policy.wanted == most)
    }

    @Test("what is ready is not waited for, and what never is ends with the limit")
    func limit() {
        let signal = GatherSignal()
        var looks = 0
        signal.wait(for: .seconds(3_600)) {
            looks += 1
            return true
        }
        #expect(looks == 1)
        signal.wait(for: .milliseconds(1)) { false }
    }

    @Test("whoever makes it ready ends the wait")
    func wakes() async {
        let signal = GatherSignal()
        let isReady = Locked(false)
        // Long enough that only the signal can end it within the suite's limit.
        let waiting = Task.detached(executorPreference: BlockingExecutor.shared) {
            signal.wait(for: .seconds(3_600)) { isReady.withLock { $0 } }
        }
        for _ in 0..<20 { await Task.yield() }
        isReady.withLock { $0 = true }
        signal.signal()
        await waiting.value
    }

    @Test("gathering goes on while others keep coming, up to what is wanted", arguments: [(4, 4), (1_000, 50), (1, 1)])
    func silence(_ comeAtMost: Int, _ seen: Int) {
        var count = 0
        GatherSignal().gather(50, patience: .milliseconds(1)) {
            // One more with each look, and nobody signals.
            count = min(count + 1, comeAtMost)
            return count
        }
        #expect(count >= seen)
    }

    @Test("who has enough does not wait")
    func enough() {
        var looks = 0
        GatherSignal().gather(1, patience: .seconds(3_600)) {
            looks += 1
            return 1
        }
        #expect(looks == 1)
    }

    @Test("a round that gathers waits for as many as are worth it")
    func rounds() async {
        let sizes = Locked<[Int]>([])
        let rounds = Locked<Rounds<Int, Int>?>(nil)
        // Long enough that only the second of a round can end its wait within the suite's limit.
        rounds.withLock {
            $0 = Rounds(patience: .seconds(3_600), most: 2) { batch in
                let isFirst = sizes.withLock { sizes in
                    sizes.append(batch.count)
                    return sizes.count == 1
                }
                // The next round finds two.
                while isFirst, rounds.withLock({ $0?.waitingCount ?? 0 }) < 2 { sched_yield() }
                return batch
            }
        }
        let body = { @Sendable (item: Int) async -> Int? in await rounds.withLock { $0 }?.join(item) }
        await withTaskExecutorPreference(BlockingExecutor.shared) {
            await withTaskGroup(of: Int?.self) { group in
                group.addTask { await body(0) }
                // Who comes before the round is under way would go with it.
                await until { sizes.withLock { $0.count } == 1 }
                for item in 1..<3 { group.addTask { await body(item) } }
            }
            // One comes, and does not go before the other.
            await withTaskGroup(of: Int?.self) { group in
                for item in 3..<5 { group.addTask { await body(item) } }
            }
        }
        #expect(sizes.withLock { $0 } == [1, 2, 2])
        rounds.withLock { $0 = nil }
    }
}
