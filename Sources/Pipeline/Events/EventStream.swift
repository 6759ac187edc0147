import SluiceBytes

/// One stream of events for every observer. Publishing never waits: a slow observer gets the newest progress of each
/// transfer and every other event, and sees by a gap in the sequence that something was merged.
public final class EventStream: Sendable {
    private struct Subscriber: Sendable {
        var pending: [TransferEvent] = []
        var progressIndex: [TransferID: Int] = [:]
        var waiter: CheckedContinuation<Void, Never>?
        /// So many events wake the observer.
        var batch = 1
        /// The observer wants what is there, however little.
        var nudged = false
        var closed = false

        var isDue: Bool { pending.count >= batch || closed || (nudged && !pending.isEmpty) }
    }

    private struct State: Sendable {
        var sequence: UInt64 = 0
        var nextSubscriber = 0
        var subscribers: [Int: Subscriber] = [:]
        var closed = false
    }

    private let state = BusyMutex(State())

    /// A stream without observers.
    public init() {}

    /// Tells every observer. Callable from anywhere; never blocks on an observer.
    public func publish(_ kind: TransferEvent.Kind, of transfer: TransferID? = nil) {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            state.sequence += 1
            let event = TransferEvent(sequence: state.sequence, transfer: transfer, kind: kind)
            var waiters: [CheckedContinuation<Void, Never>] = []
            // A copy of the keys: a view of them would share the table, and every event would copy what is pending.
            for id in Array(state.subscribers.keys) {
                EventStream.deliver(event, to: &state.subscribers[id, default: Subscriber()])
                let waiter = EventStream.due(&state.subscribers[id, default: Subscriber()])
                if let waiter { waiters.append(waiter) }
            }
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    private static func deliver(_ event: TransferEvent, to subscriber: inout Subscriber) {
        guard let transfer = event.transfer, case .progress = event.kind else {
            if let transfer = event.transfer { subscriber.progressIndex[transfer] = nil }
            subscriber.pending.append(event)
            return
        }
        if let index = subscriber.progressIndex[transfer] {
            subscriber.pending[index] = event
        } else {
            subscriber.progressIndex[transfer] = subscriber.pending.count
            subscriber.pending.append(event)
        }
    }

    private static func due(_ subscriber: inout Subscriber) -> CheckedContinuation<Void, Never>? {
        guard subscriber.waiter != nil, subscriber.isDue else { return nil }
        defer { subscriber.waiter = nil }
        return subscriber.waiter
    }

    /// A new observer, which sees every event from now on. Iterate it from one task.
    ///
    /// - Parameter batch: so many events wake the observer; with more than one, `nudge` brings what is there.
    public func subscribe(batch: Int = 1) -> EventSubscription {
        let id = state.withLock { state in
            state.nextSubscriber += 1
            state.subscribers[state.nextSubscriber] = Subscriber(batch: max(1, batch), closed: state.closed)
            return state.nextSubscriber
        }
        return EventSubscription(stream: self, id: id)
    }

    /// Ends every subscription after what is pending.
    public func close() {
        let waiters: [CheckedContinuation<Void, Never>] = state.withLock { state in
            state.closed = true
            var waiters: [CheckedContinuation<Void, Never>] = []
            for id in Array(state.subscribers.keys) {
                state.subscribers[id]?.closed = true
                let waiter = EventStream.due(&state.subscribers[id, default: Subscriber()])
                if let waiter { waiters.append(waiter) }
            }
            return waiters
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Pending events; nil if the subscription is over.
    fileprivate func take(_ id: Int) -> [TransferEvent]? {
        state.withLock { state in
            guard let subscriber = state.subscribers[id] else { return nil }
            if subscriber.pending.isEmpty, subscriber.closed {
                state.subscribers[id] = nil
                return nil
            }
            state.subscribers[id]?.pending = []
            state.subscribers[id]?.progressIndex = [:]
            state.subscribers[id]?.nudged = false
            return subscriber.pending
        }
    }

    fileprivate func waitForMore(_ id: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = state.withLock { state in
                    guard let subscriber = state.subscribers[id], !subscriber.isDue, !Task.isCancelled
                    else { return true }
                    state.subscribers[id]?.waiter = continuation
                    return false
                }
                if ready { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.subscribers[id]?.waiter = nil }
                return state.subscribers[id]?.waiter
            }
            waiter?.resume()
        }
    }

    fileprivate func nudge(_ id: Int) {
        let waiter = state.withLock { state in
            guard state.subscribers[id] != nil else { return (CheckedContinuation<Void, Never>)?.none }
            state.subscribers[id]?.nudged = true
            return EventStream.due(&state.subscribers[id, default: Subscriber()])
        }
        waiter?.resume()
    }

    /// How many observers there are.
    var subscriberCount: Int { state.withLock { $0.subscribers.count } }

    fileprivate func forget(_ id: Int) { state.withLock { _ = $0.subscribers.removeValue(forKey: id) } }
}

/// One observer's end of an `EventStream`; nothing is kept for an observer that is gone.
public final class EventSubscription: Sendable {
    private let stream: EventStream
    private let id: Int

    init(stream: EventStream, id: Int) {
        self.stream = stream
        self.id = id
    }

    /// Waits for a batch and returns all that is pending; nil when the stream was closed and everything was seen, or
    /// when the task is cancelled and nothing is pending.
    public func next() async -> [TransferEvent]? {
        while true {
            await stream.waitForMore(id)
            guard let events = stream.take(id) else { return nil }
            if !events.isEmpty { return events }
            if Task.isCancelled { return nil }
        }
    }

    /// Ends the wait for a batch with whatever is pending, or with the next event if nothing is.
    public func nudge() { stream.nudge(id) }

    deinit {
        stream.forget(id)
    }
}
