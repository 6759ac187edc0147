/// How many transfers may run at once: as many as were asked for, and more while they end so fast that their waits
/// (round trips, shared syncs) and not their bytes take the time.
struct Slots: Sendable {
    /// An object of known length up to this is short.
    static let shortObject: UInt64 = 4 << 20

    private static let bucket = Duration.milliseconds(100)
    private static let buckets = 10
    /// Ends within a second for each slot: a transfer of a quarter of a second is short.
    private static let endsPerSlot = 4

    private let usual: Int
    private let most: Int
    /// Ends of the last second, one number for each tenth of it; tenth n of the clock is at n modulo their count.
    private var ends = [Int](repeating: 0, count: buckets)
    /// The tenth that is counted now.
    private var newest: Int64 = 0
    /// The tenth of the first end: before it there was nothing to count.
    private var first: Int64?
    /// Tenths from which a second is told.
    private static let sample: Int64 = 3

    init(usual: Int, most: Int) {
        self.usual = usual
        self.most = max(usual, most)
    }

    mutating func ended(at now: Duration) {
        advance(to: now)
        ends[index(newest)] += 1
        first = first ?? newest
    }

    /// Ends within the last second.
    mutating func recentEnds(at now: Duration) -> Int {
        advance(to: now)
        return ends.reduce(0, +)
    }

    /// How many may run, `long` of which turned out to be long: when those fill the usual slots there are no others.
    mutating func count(long: Int, at now: Duration) -> Int {
        long >= usual ? usual : min(most, max(usual, endsPerSecond(at: now) / Slots.endsPerSlot))
    }

    /// A run of a thousand small objects may be over in a second: its beginning tells how fast they end.
    private mutating func endsPerSecond(at now: Duration) -> Int {
        let ends = recentEnds(at: now)
        let counted = newest - (first ?? newest) + 1
        return ends * Slots.buckets / Int(min(max(counted, Slots.sample), Int64(Slots.buckets)))
    }

    /// Whether one more of this length may start beside `running` others: one that is known to be long never takes an
    /// extra slot.
    mutating func mayStart(size: UInt64?, beside running: Int, long: Int, at now: Duration) -> Bool {
        if running < usual { return true }
        return (size ?? 0) <= Slots.shortObject && running < count(long: long, at: now)
    }

    private mutating func advance(to now: Duration) {
        let current = max(newest, Int64(now / Slots.bucket))
        let passed = min(current - newest, Int64(Slots.buckets))
        for step in 0..<passed { ends[index(current - step)] = 0 }
        newest = current
    }

    private func index(_ bucket: Int64) -> Int { Int(bucket % Int64(Slots.buckets)) }
}
