import SluiceBytes

/// Which parts are missing, in flight and done. Pure: lanes ask it under a lock and do the work outside.
///
/// The lowest missing part goes first, so that the hash frontier moves and memory ahead of it stays small. When
/// nothing is missing any more, an idle lane takes the second half of what the slowest part still lacks.
struct PartBoard {
    /// A run of bytes that one lane fetches; its end moves down when another lane steals from it.
    struct Segment: Hashable {
        let id: Int
        let part: Part
        let lower: UInt64
    }

    private struct Flight {
        let part: Part
        var open: [Int: (cursor: UInt64, end: UInt64)] = [:]
        var isSplit = false
    }

    private let plan: PartPlan
    private var nextIndex = 0
    private var done: Set<Int>
    private var flights: [Int: Flight] = [:]
    private var nextSegment = 0
    private let smallestSteal: UInt64
    private var failed = false

    init(plan: PartPlan, done: Set<Int>, smallestSteal: UInt64 = 4 << 20) {
        self.plan = plan
        self.done = done
        self.smallestSteal = smallestSteal
    }

    /// Every part is done.
    var isComplete: Bool { done.count == plan.count }

    /// The next part that nobody has taken; nil if there is none.
    mutating func takeLowestMissing() -> Segment? {
        while nextIndex < plan.count, done.contains(nextIndex) { nextIndex += 1 }
        guard nextIndex < plan.count else { return nil }
        let part = plan.part(nextIndex)
        nextIndex += 1
        flights[part.index] = Flight(part: part)
        return open(part, part.range.lower, part.range.upper)
    }

    var hasMissing: Bool {
        var index = nextIndex
        while index < plan.count, done.contains(index) { index += 1 }
        return index < plan.count
    }

    /// The second half of the largest remainder in flight; nil if none is worth a request.
    mutating func steal() -> Segment? {
        guard let best = largestRemainder, let flight = flights[best.part] else { return nil }
        let middle = best.cursor + (best.end - best.cursor) / 2
        flights[best.part]?.open[best.segment]?.end = middle
        flights[best.part]?.isSplit = true
        return open(flight.part, middle, best.end)
    }

    /// Whether `steal` would find something.
    var canSteal: Bool { largestRemainder != nil }

    private var largestRemainder: (part: Int, segment: Int, cursor: UInt64, end: UInt64)? {
        var best: (part: Int, segment: Int, cursor: UInt64, end: UInt64)?
        for (index, flight) in flights {
            for (id, run) in flight.open where run.end - run.cursor >= 2 * smallestSteal {
                if let best, best.end - best.cursor >= run.end - run.cursor { continue }
                best = (index, id, run.cursor, run.end)
            }
        }
        return best
    }

    private mutating func open(_ part: Part, _ lower: UInt64, _ upper: UInt64) -> Segment {
        nextSegment += 1
        flights[part.index]?.open[nextSegment] = (lower, upper)
        return Segment(id: nextSegment, part: part, lower: lower)
    }

    /// What a segment still lacks.
    func remainder(of segment: Segment) -> ByteRange {
        guard let run = flights[segment.part.index]?.open[segment.id] else { return ByteRange(0, 0) }
        return ByteRange(run.cursor, run.end)
    }

    /// Books `count` bytes that arrived for a segment, and tells how many of them are still its own.
    mutating func accept(_ count: Int, for segment: Segment) -> Int {
        guard let run = flights[segment.part.index]?.open[segment.id] else { return 0 }
        let taken = min(UInt64(count), run.end - run.cursor)
        flights[segment.part.index]?.open[segment.id]?.cursor += taken
        return Int(taken)
    }

    /// Ends a segment; true if it was the last of its part, whose completion is then the caller's.
    mutating func close(_ segment: Segment) -> Bool {
        flights[segment.part.index]?.open[segment.id] = nil
        return flights[segment.part.index]?.open.isEmpty ?? false
    }

    /// Whether other lanes fetched some of the part.
    func isSplit(_ part: Part) -> Bool { flights[part.index]?.isSplit ?? false }

    /// The part is at the sink and in the journal.
    mutating func complete(_ part: Part) {
        flights[part.index] = nil
        done.insert(part.index)
    }
}
