/// A set of rows in little memory: those of one command follow each other, so a million of them are few ranges.
public struct TransferIDs: Sendable, Equatable {
    private var members = Swift.RangeSet<Int64>()

    /// No row.
    public init() {}

    /// Whether it has none.
    public var isEmpty: Bool { members.isEmpty }

    /// How many they are.
    public var count: Int { members.ranges.reduce(0) { $0 + $1.count } }

    /// Its rows, in ranges of ascending order.
    public var ranges: [Range<Int64>] { Array(members.ranges) }

    /// Whether `id` is among them.
    public func contains(_ id: TransferID) -> Bool { members.contains(id.value) }

    /// Adds a row; false if it was there.
    @discardableResult
    public mutating func insert(_ id: TransferID) -> Bool {
        guard !members.contains(id.value), id.value < .max else { return false }
        members.insert(contentsOf: id.value..<(id.value + 1))
        return true
    }

    /// Adds all of `other`.
    public mutating func formUnion(_ other: TransferIDs) { members.formUnion(other.members) }

    /// Those that are not in `other`.
    public func subtracting(_ other: TransferIDs) -> TransferIDs {
        var rest = self
        rest.members.subtract(other.members)
        return rest
    }
}
