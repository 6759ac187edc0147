import SluiceBytes

/// How an object is cut into parts: a pure function of its length and the sink's limits, so that another process
/// cuts in the same way.
public struct PartPlan: Sendable, Hashable {
    /// Length in bytes.
    public let size: UInt64
    /// Every part but the last is so long.
    public let partSize: UInt64

    /// A plan with a part size that was decided earlier (the journal's).
    public init(size: UInt64, partSize: UInt64) {
        self.size = size
        self.partSize = max(1, partSize)
    }

    /// The number of parts; an empty object has one empty part.
    public var count: Int { size == 0 ? 1 : Int(clamping: (size - 1) / partSize + 1) }

    /// The part at `index`.
    public func part(_ index: Int) -> Part {
        let (product, overflow) = UInt64(clamping: index).multipliedReportingOverflow(by: partSize)
        let lower = overflow ? size : min(size, product)
        return Part(index: index, range: ByteRange(lower, lower + min(partSize, size - lower)))
    }

    /// What lies outside the parts that there are receipts of.
    func missing(beside receipts: [PartReceipt]) -> [ByteRange] {
        let done = Set(receipts.map(\.part.index))
        return (0..<count).filter { !done.contains($0) }.map { part($0).range }
    }

    /// The part size for an object of `size` bytes.
    ///
    /// The preferred size, or the user's, grown in steps of 1 MiB until the parts fit the sink's count.
    /// - Throws: `.unsupported` when no part size fits.
    public static func partSize(
        for size: UInt64,
        _ limits: SinkCapabilities,
        preferred: UInt64? = nil
    ) throws -> UInt64 {
        let step: UInt64 = 1 << 20
        let count = UInt64(max(1, limits.maximumParts))
        let needed = size / count + (size % count == 0 ? 0 : 1)
        let wanted = max(preferred ?? limits.preferredPart, limits.minimumPart, needed, 1)
        let (result, overflow) = wanted.addingReportingOverflow((step - wanted % step) % step)
        guard !overflow, result <= limits.maximumPart else {
            throw SluiceError(
                .unsupported,
                "\(size) bytes do not fit into \(limits.maximumParts) parts of at most \(limits.maximumPart) bytes",
                remedy: "split the object, or use a sink with larger limits"
            )
        }
        return result
    }

    /// The size of part `index` of an object of unknown length: grows, so that 10,000 parts hold any object, unless
    /// the sink wants equal parts.
    public static func growingPartSize(_ index: Int, base: UInt64, _ limits: SinkCapabilities) -> UInt64 {
        guard !limits.equalParts else { return min(limits.maximumPart, base * 8) }
        let doublings = UInt64(min(30, index / 1000))
        let (grown, overflow) = base.multipliedReportingOverflow(by: 1 << doublings)
        return overflow ? limits.maximumPart : min(grown, limits.maximumPart)
    }
}
