import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceState

@Suite("Gathering mutations", .timeLimit(.minutes(10)))
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
}
