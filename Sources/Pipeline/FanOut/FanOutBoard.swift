import SluiceBytes

/// Who of a shared read's members fetches, who waits, and which blocks are kept for whom. Pure: `SharedRead` asks it
/// under a lock and does the work outside.
///
/// The object is cut into blocks. A block is fetched once, when the first member asks for it, and kept until every
/// member that needs some of it has taken it. Members ask in ascending order.
///
/// Nobody waits for ever: a member waits only for others whose lowest needed block is `window` or more below the one
/// that it asks for, and for fetches, which wait for nobody. So the member that is furthest behind never waits, and
/// whoever waits for it waits for one that moves, fails or leaves. No member opens or takes a block beyond `window` past
/// the lowest of the others: these are no more than `window` past it, then, and its own lanes no more than twice that.
/// So all that is kept lies within twice the window of the lowest need.
struct FanOutBoard: Hashable {
    enum Step: Hashable {
        /// The bytes from the offset to the end of what has come of the block.
        case take(block: UInt64)
        /// Something has to change first: the block's fetch, if one is named.
        case wait(block: UInt64?)
        /// To be fetched for all, by whoever asked; then ask again.
        case fetch(block: UInt64, ByteRange)
        /// No other member needs them: a read of the member's own.
        case alone(ByteRange)
        /// Everything that was asked for was taken.
        case end
    }

    struct Block: Hashable {
        /// What is fetched of it: no more than its members need.
        let range: ByteRange
        /// How far it came.
        var filled: UInt64
        var isUnderWay: Bool
        /// Everyone has taken it, and only the end of its fetch is waited for: its bytes are gone.
        var isSpent = false
    }

    let blockSize: UInt64
    /// How many blocks a member may be ahead of the lowest need of the others.
    let window: UInt64
    /// One stream from the first byte to the last, which nobody can read again.
    let isSequential: Bool
    /// Length in bytes; nil while it is unknown.
    private(set) var size: UInt64?
    /// How many fetches the host takes at once.
    var mostFetches = Int.max
    private(set) var blocks: [UInt64: Block] = [:]
    /// What each member still needs.
    private var needs: [Int: RangeSet] = [:]
    /// Members that may need less than everything: an earlier run of theirs may have left some.
    private var undecided: Set<Int> = []

    init(members: some Sequence<Int>, size: UInt64?, blockSize: UInt64, window: UInt64, isSequential: Bool) {
        self.size = size
        self.blockSize = max(1, blockSize)
        self.window = max(1, window)
        self.isSequential = isSequential
        for member in members { needs[member] = RangeSet([ByteRange(0, size ?? .max)]) }
        undecided = Set(needs.keys)
    }

    /// Fetches at work.
    var underWay: Int { blocks.values.count { $0.isUnderWay } }

    /// Whether some member still reads with the others.
    var hasMembers: Bool { !needs.isEmpty }

    /// Whether a member needs some of the range.
    func isNeeded(_ range: ByteRange) -> Bool { needs.values.contains { $0.hull(in: range) != nil } }

    // MARK: - What a member does next

    /// What follows for a member whose read has come to `offset` and ends at `upper`.
    mutating func step(_ member: Int, at offset: UInt64, below upper: UInt64) -> Step {
        let upper = min(upper, size ?? .max)
        guard offset < upper else { return end(at: offset) }
        guard let own = needs[member] else { return .alone(ByteRange(offset, upper)) }
        undecided.remove(member)
        let index = offset / blockSize
        let others = needs.filter { $0.key != member }.values
        let isAhead = others.compactMap(\.lowest).min().map { index >= $0 / blockSize + window } ?? false
        if let block = blocks[index], !block.isSpent, block.range.lower <= offset, offset < block.range.upper {
            if isAhead { return .wait(block: nil) }
            if offset < block.filled { return .take(block: index) }
            if block.isUnderWay { return .wait(block: index) }
            guard underWay < mostFetches else { return .wait(block: nil) }
            blocks[index]?.isUnderWay = true
            return .fetch(block: index, ByteRange(block.filled, block.range.upper))
        }
        if !isSequential, let range = alone(offset, upper, own, others) { return .alone(range) }
        guard !isAhead, underWay < (isSequential ? 1 : mostFetches) else { return .wait(block: nil) }
        let hulls = isSequential ? [extent(index)] : needs.values.compactMap { $0.hull(in: extent(index)) }
        return .fetch(block: index, open(index, hulls))
    }

    /// The next block that more than one member will ask for, to be fetched before they do; nil if `most` fetches are
    /// at work, or what is kept would not stay within its memory.
    mutating func ahead(most: Int) -> (block: UInt64, range: ByteRange)? {
        guard !isSequential, underWay < min(most, mostFetches), let lowest = needs.values.compactMap(\.lowest).min()
        else { return nil }
        let first = lowest / blockSize
        for index in first..<(first + window) where blocks[index] == nil {
            let wanted = needs.filter { $0.value.hull(in: extent(index)) != nil }
            // What a member needs is not known before it has said so, or has begun to read.
            guard wanted.keys.count(where: { !undecided.contains($0) }) > 1 else { continue }
            return (index, open(index, wanted.values.compactMap { $0.hull(in: extent(index)) }))
        }
        return nil
    }

    /// The end of a read is believed when the fetch that brought its last byte has ended well.
    private func end(at offset: UInt64) -> Step {
        guard offset > 0, let block = blocks[(offset - 1) / blockSize], block.isUnderWay,
            block.range.upper == offset, block.filled == offset
        else { return .end }
        return .wait(block: (offset - 1) / blockSize)
    }

    /// The run from `offset` that is of use to nobody else, and not in memory either.
    private func alone(
        _ offset: UInt64,
        _ upper: UInt64,
        _ own: RangeSet,
        _ others: some Collection<RangeSet>
    ) -> ByteRange? {
        let kept = blocks.values.map(\.range.lower).filter { $0 > offset }.min() ?? .max
        let index = offset / blockSize
        // Twice: what it took before, and asks for again, is not kept for it.
        guard own.first(from: offset) == offset, blocks[index] == nil else {
            let known = blocks[index].map { $0.range.lower > offset ? $0.range.lower : (index + 1) * blockSize }
            return ByteRange(offset, min(upper, kept, known ?? own.first(from: offset) ?? .max))
        }
        let wanted = others.compactMap { $0.first(from: offset) }.min() ?? .max
        return wanted > offset ? ByteRange(offset, min(upper, kept, wanted)) : nil
    }

    private func extent(_ index: UInt64) -> ByteRange {
        let (lower, overflow) = index.multipliedReportingOverflow(by: blockSize)
        let end = size ?? .max
        return overflow ? ByteRange(end, end) : ByteRange(lower, min(lower.addingCapped(blockSize), end))
    }

    private mutating func open(_ index: UInt64, _ hulls: [ByteRange]) -> ByteRange {
        let whole = extent(index)
        let range = ByteRange(hulls.map(\.lower).min() ?? whole.lower, hulls.map(\.upper).max() ?? whole.upper)
        blocks[index] = Block(range: range, filled: range.lower, isUnderWay: true)
        return range
    }

    // MARK: - What happened

    /// A member took, or read by itself, these bytes.
    mutating func took(_ member: Int, _ range: ByteRange) { needs[member]?.subtract(range) }

    /// A member needs just these from now on.
    mutating func setNeeds(_ member: Int, _ ranges: RangeSet) {
        undecided.remove(member)
        if needs[member] != nil { needs[member] = ranges }
    }

    /// A member failed, ended, or reads by itself: nothing is kept for it, and nobody waits for it.
    mutating func leave(_ member: Int) { needs[member] = nil }

    /// More of a block came.
    mutating func filled(_ index: UInt64, to offset: UInt64) { blocks[index]?.filled = offset }

    /// A block's fetch is over, whole or not.
    mutating func ended(_ index: UInt64) {
        blocks[index]?.isUnderWay = false
        if let block = blocks[index], block.filled == block.range.lower { blocks[index] = nil }
    }

    /// The stream is over: its length is known now.
    mutating func settle(size: UInt64) {
        self.size = size
        for member in Array(needs.keys) { needs[member]?.subtract(ByteRange(size, .max)) }
    }

    /// Lets go of the blocks that nobody needs any more, and returns them: `useless` with their fetches, `spent`
    /// without, because the end of a fetch proves its bytes.
    mutating func sweep() -> (useless: [UInt64], spent: [UInt64]) {
        var (useless, spent): ([UInt64], [UInt64]) = ([], [])
        for (index, block) in blocks where !isNeeded(block.range) {
            if hasMembers, block.isUnderWay, block.filled == block.range.upper {
                blocks[index]?.isSpent = true
                spent.append(index)
            } else if !isSequential || !hasMembers || !block.isUnderWay {
                // What comes of the only stream cannot be fetched again.
                blocks[index] = nil
                useless.append(index)
            }
        }
        return (useless, spent)
    }
}
