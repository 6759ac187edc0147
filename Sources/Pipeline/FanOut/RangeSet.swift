import SluiceBytes

/// Bytes of an object as disjoint ranges in order.
struct RangeSet: Hashable, Sendable {
    private(set) var ranges: [ByteRange] = []

    /// - Parameter ranges: in any order; they may touch and overlap.
    init(_ ranges: [ByteRange] = []) {
        for range in ranges.sorted(by: { $0.lower < $1.lower }) where !range.isEmpty {
            if let last = self.ranges.last, range.lower <= last.upper {
                self.ranges[self.ranges.count - 1] = ByteRange(last.lower, max(last.upper, range.upper))
            } else {
                self.ranges.append(range)
            }
        }
    }

    var isEmpty: Bool { ranges.isEmpty }

    /// The lowest offset in it.
    var lowest: UInt64? { ranges.first?.lower }

    /// The lowest offset in it that is not below `offset`.
    func first(from offset: UInt64) -> UInt64? {
        ranges.first { $0.upper > offset }.map { max($0.lower, offset) }
    }

    /// The smallest range that holds all of it that lies in `window`; nil if nothing does.
    func hull(in window: ByteRange) -> ByteRange? {
        guard let lower = first(from: window.lower), lower < window.upper,
            let last = ranges.last(where: { $0.lower < window.upper })
        else { return nil }
        return ByteRange(lower, min(last.upper, window.upper))
    }

    mutating func subtract(_ range: ByteRange) {
        guard !range.isEmpty, let first = ranges.firstIndex(where: { $0.upper > range.lower }) else { return }
        var last = first
        var rest: [ByteRange] = []
        while last < ranges.count, ranges[last].lower < range.upper {
            let old = ranges[last]
            if old.lower < range.lower { rest.append(ByteRange(old.lower, range.lower)) }
            if old.upper > range.upper { rest.append(ByteRange(range.upper, old.upper)) }
            last += 1
        }
        ranges.replaceSubrange(first..<last, with: rest)
    }
}
