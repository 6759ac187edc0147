/// A half-open run of bytes of an object: `lower..<upper`. HTTP's inclusive form is made in one place only.
public struct ByteRange: Hashable, Sendable, CustomStringConvertible {
    /// The first byte's offset.
    public let lower: UInt64
    /// One past the last byte's offset.
    public let upper: UInt64

    /// A range from offsets; `upper` below `lower` gives an empty range at `lower`.
    public init(_ lower: UInt64, _ upper: UInt64) {
        self.lower = lower
        self.upper = max(lower, upper)
    }

    /// A range of `count` bytes at `offset`; nil if it would pass the end of 64 bits.
    public init?(at offset: UInt64, count: UInt64) {
        let (end, overflow) = offset.addingReportingOverflow(count)
        if overflow { return nil }
        self.init(offset, end)
    }

    /// The length in bytes.
    public var count: UInt64 { upper - lower }

    /// Whether it holds no byte.
    public var isEmpty: Bool { lower == upper }

    /// The value of an HTTP `Range` header (RFC 9110 §14.1.2: inclusive); nil for an empty range, which HTTP cannot say.
    public var httpRange: String? { isEmpty ? nil : "bytes=\(lower)-\(upper - 1)" }

    /// The bytes that lie in both.
    public func intersection(_ other: ByteRange) -> ByteRange {
        ByteRange(max(lower, other.lower), max(max(lower, other.lower), min(upper, other.upper)))
    }

    /// `lower..<upper`.
    public var description: String { "\(lower)..<\(upper)" }
}
