import Glibc
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluicePipeline

@Suite("Gathering for a round", .timeLimit(.minutes(10)))
struct GatherTests {
    @Test(
        "a round waits for as many as the last one carried, within bounds, and for nobody after a single one",
        arguments: [(1, 1), (2, 2), (20, 20), (64, 64), (1_000, 64)]
    )
    func wanted(_ carried: Int, _ wanted: Int) {
        var policy = GatherPolicy()
        #expect(policy.wanted == 1, "nothing was carried yet")
        policy.carried(carried)
        #expect(policy.wanted == wanted)
        policy.carried(1)
        #expect(policy.wanted == 1)
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

    @Test("a round that gathers waits for as many as the last one carried")
    func rounds() async {
        let sizes = Locked<[Int]>([])
        let rounds = Locked<Rounds<Int, Int>?>(nil)
        // Long enough that only the second of a round can end its wait within the suite's limit.
        rounds.withLock {
            $0 = Rounds(patience: .seconds(3_600)) { batch in
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
                for item in 0..<3 { group.addTask { await body(item) } }
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
