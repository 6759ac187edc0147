import SluiceTestSupport
import Testing

@testable import SluiceBytes

@Suite(.timeLimit(.minutes(10))) struct BlockingThreadTests {
    @Test(arguments: [0, 1, 2, 7, 100])
    func `each number is called once, by no more threads than may be`(count: Int) {
        let calls = Locked<[Int]>([])
        let (running, peak) = (Locked(0), Locked(0))
        BlockingThread.each(count, most: 4) { number in
            let now = running.withLock { count in
                count += 1
                return count
            }
            peak.withLock { $0 = max($0, now) }
            calls.withLock { $0.append(number) }
            running.withLock { $0 -= 1 }
        }
        #expect(calls.withLock { $0.sorted() } == Array(0..<count))
        #expect(peak.withLock { $0 } <= 4)
    }

    @Test func `callers at once share the helpers, and none returns before its own calls`() async {
        await withTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    await BlockingThread.run {
                        (0..<200).reduce(0) { wrong, _ in
                            let calls = Locked(0)
                            BlockingThread.each(5, most: 5) { _ in calls.withLock { $0 += 1 } }
                            return wrong + (calls.withLock { $0 } == 5 ? 0 : 1)
                        }
                    }
                }
            }
            #expect(await group.reduce(0, +) == 0)
        }
    }

    @Test func `calls run side by side`() {
        let (first, second) = (Latch(), Latch())
        // One after the other, either would wait for ever.
        BlockingThread.each(2, most: 2) { number in
            (number == 0 ? first : second).open()
            (number == 0 ? second : first).block()
        }
    }
}
