import SluicePipeline
import Synchronization

/// How transfers ended that this process ran, as the events tell.
final class TransferEnds: Sendable {
    private let state = Mutex<[TransferID: TransferOutcome?]>([:])

    /// Nil as an outcome: it failed, or the user holds it. What is not among them ended elsewhere, or not yet.
    var ends: [TransferID: TransferOutcome?] { state.withLock { $0 } }

    /// Until the task is cancelled, and nothing is pending.
    func follow(_ subscription: EventSubscription) async {
        while let events = await subscription.next() { take(events) }
    }

    private func take(_ events: [TransferEvent]) {
        state.withLock { ends in
            for event in events {
                guard let transfer = event.transfer else { continue }
                switch event.kind {
                case .finished(let outcome): ends[transfer] = .some(outcome)
                case .failed, .released(.paused), .released(.cancelled): ends[transfer] = .some(nil)
                case .started, .released, .phase, .size, .progress, .retrying, .warning: continue
                }
            }
        }
    }
}
