import Glibc
import SluicePipeline
import Synchronization
import Testing

/// What a continuation carries from a thread to a task.
struct HandOverTests {
    private final class Note: Sendable {
        let number: Int

        init(_ number: Int) { self.number = number }
    }

    /// The rare order of things, in which the task never leaves its thread. ThreadSanitizer sees it only because it is
    /// told: Tests/Sanitizers/continuation_order.c, without which this test is reported as a race.
    @Test("a task that is resumed before it comes to wait sees what was handed to it")
    func resumedBeforeItWaits() async {
        for number in 1...20 {
            let note = await withCheckedContinuation { continuation in
                let isResumed = Atomic(false)
                Task.detached(executorPreference: BlockingExecutor.shared) {
                    continuation.resume(returning: Note(number))
                    // Relaxed: this must not be what orders the two threads.
                    isResumed.store(true, ordering: .relaxed)
                }
                while !isResumed.load(ordering: .relaxed) { sched_yield() }
            }
            #expect(note.number == number)
        }
    }
}
