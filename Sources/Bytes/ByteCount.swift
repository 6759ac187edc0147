/// A number of bytes. Never negative; parsing is checked, because sizes come from servers and from users.
public struct ByteCount: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The count in bytes.
    public var bytes: UInt64

    /// Wraps a count in bytes.
    public init(_ bytes: UInt64) {
        self.bytes = bytes
    }

    /// `count` × 1024 bytes.
    public static func kibibytes(_ count: UInt64) -> ByteCount { ByteCount(count << 10) }

    /// `count` × 1024² bytes.
    public static func mebibytes(_ count: UInt64) -> ByteCount { ByteCount(count << 20) }

    /// `count` × 1024³ bytes.
    public static func gibibytes(_ count: UInt64) -> ByteCount { ByteCount(count << 30) }

    /// Parses `512`, `16k`, `1.5M`, `2GiB` (powers of 1024) and `16KB`, `2GB` (powers of 1000); nil if it is not one.
    public init?(parsing text: String) {
        let digits = text.prefix { "0"..."9" ~= $0 || $0 == "." }
        let multiplier: UInt64
        switch text.dropFirst(digits.count).lowercased() {
        case "", "b": multiplier = 1
        case "k", "ki", "kib": multiplier = 1 << 10
        case "m", "mi", "mib": multiplier = 1 << 20
        case "g", "gi", "gib": multiplier = 1 << 30
        case "t", "ti", "tib": multiplier = 1 << 40
        case "kb": multiplier = 1000
        case "mb": multiplier = 1_000_000
        case "gb": multiplier = 1_000_000_000
        case "tb": multiplier = 1_000_000_000_000
        default: return nil
        }
        // Whole numbers are exact: a Double holds 53 bits.
        if let whole = UInt64(digits) {
            let (product, overflow) = whole.multipliedReportingOverflow(by: multiplier)
            if overflow { return nil }
            bytes = product
            return
        }
        guard digits.contains("."), let number = Double(digits),
            let rounded = UInt64(exactly: (number * Double(multiplier)).rounded(.down))
        else { return nil }
        bytes = rounded
    }

    /// `1.5 GiB`: three significant figures at most, units of 1024.
    public var description: String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 { return "\(bytes) B" }
        let scale = value >= 100 ? 1.0 : 10.0
        var rounded = (value * scale).rounded() / scale
        // 1023.97 of one unit is 1 of the next.
        if rounded >= 1024, unit < units.count - 1 {
            rounded = 1
            unit += 1
        }
        let text = rounded == rounded.rounded() ? "\(UInt64(rounded))" : "\(rounded)"
        return "\(text) \(units[unit])"
    }

    /// Compares by number.
    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
}

extension UInt64 {
    /// The sum, at most the largest number: sizes come from servers, and a sum past 64 bits must not end the program.
    package func addingCapped(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
