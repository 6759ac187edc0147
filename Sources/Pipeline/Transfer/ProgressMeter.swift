import Synchronization

/// Counts a transfer's bytes from many lanes and publishes them, merged, at most every 100 ms.
final class ProgressMeter: Sendable {
    private let settled: Atomic<UInt64>
    private let underWay = Atomic<UInt64>(0)
    private let fetched = Atomic<UInt64>(0)
    private let lastPublished = Atomic<Int64>(0)
    private let events: EventStream
    private let transfer: TransferID
    private let time: any TimeSource

    init(transfer: TransferID, settled: UInt64, events: EventStream, time: any TimeSource) {
        self.transfer = transfer
        self.settled = Atomic(settled)
        self.events = events
        self.time = time
    }

    /// Bytes that came from the source, retries included.
    var moved: UInt64 { fetched.load(ordering: .relaxed) }

    func received(_ count: Int) { fetched.add(UInt64(count), ordering: .relaxed) }

    /// Bytes on their way to the sink, not yet acknowledged.
    func sent(_ count: Int) {
        underWay.add(UInt64(count), ordering: .relaxed)
        publish()
    }

    /// An attempt failed: what it had sent does not count.
    func unsent(_ count: UInt64) { underWay.subtract(count, ordering: .relaxed) }

    /// The sink has them: `alreadySent` of them were counted as under way.
    func settle(_ count: UInt64, alreadySent: UInt64 = 0) {
        if alreadySent > 0 { underWay.subtract(alreadySent, ordering: .relaxed) }
        settled.add(count, ordering: .relaxed)
        publish()
    }

    private func publish() {
        let now = Int64(time.now() / .milliseconds(1))
        let last = lastPublished.load(ordering: .relaxed)
        guard now - last >= 100 || last == 0,
            lastPublished.compareExchange(expected: last, desired: max(1, now), ordering: .relaxed).exchanged
        else { return }
        publishNow()
    }

    func publishNow() {
        let done = settled.load(ordering: .relaxed) &+ underWay.load(ordering: .relaxed)
        events.publish(.progress(done: done), of: transfer)
    }
}

/// Counts what one attempt of one part has sent, so that a failed attempt can be taken back.
final class SentCounter: Sendable {
    private let count = Atomic<UInt64>(0)
    private let meter: ProgressMeter

    init(_ meter: ProgressMeter) {
        self.meter = meter
    }

    var total: UInt64 { count.load(ordering: .relaxed) }

    func add(_ bytes: Int) {
        count.add(UInt64(bytes), ordering: .relaxed)
        meter.sent(bytes)
    }
}
