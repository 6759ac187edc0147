import SluiceBytes
import SluicePipeline
import Synchronization

/// How transfers ended, by the bytes of their targets, as the events tell: two spellings of one name are two files.
final class MirrorOutcomes: Sendable {
    private struct State {
        var targets: [TransferID: ObjectKey] = [:]
        var outcomes: [ObjectKey: TransferOutcome] = [:]
    }

    private let state = Mutex(State())

    var outcomes: [ObjectKey: TransferOutcome] { state.withLock { $0.outcomes } }

    /// Until the task is cancelled, and nothing is pending.
    func follow(_ subscription: EventSubscription) async {
        while let events = await subscription.next() { take(events) }
    }

    private func take(_ events: [TransferEvent]) {
        state.withLock { state in
            for event in events {
                guard let transfer = event.transfer else { continue }
                switch event.kind {
                case .started(_, let target, _): state.targets[transfer] = ObjectKey(target)
                case .finished(let outcome):
                    if let target = state.targets.removeValue(forKey: transfer) { state.outcomes[target] = outcome }
                case .failed, .released: state.targets[transfer] = nil
                case .phase, .size, .progress, .retrying, .warning: continue
                }
            }
        }
    }
}
