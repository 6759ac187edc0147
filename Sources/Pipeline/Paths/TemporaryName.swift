import SluiceBytes

/// The name of a file that is being written, beside its target: `.NAME.sluice-0123456789abcdef.part`.
///
/// A long NAME is cut so that the whole stays within 255 bytes; the 16 random digits keep names apart.
package enum TemporaryName {
    private static let dot = UInt8(ascii: ".")
    private static let infix = Array(".sluice-".utf8)
    private static let suffix = Array(".part".utf8)
    private static let digitCount = 16

    /// A name for a new temporary of `base`, from 64 random bits.
    package static func make(for base: [UInt8], random: UInt64) -> [UInt8] {
        let digits = (0..<digitCount).map { UInt8(truncatingIfNeeded: random >> UInt64(60 - 4 * $0)) & 15 }
        let hex = digits.map { $0 < 10 ? UInt8(ascii: "0") + $0 : UInt8(ascii: "a") + $0 - 10 }
        return start(for: base) + hex + suffix
    }

    /// Whether `name` is one of ours, of any target.
    package static func isOne(_ name: [UInt8]) -> Bool {
        guard name.first == dot, name.count > 1 + infix.count + digitCount + suffix.count, name.suffix(5) == suffix[...]
        else { return false }
        let tail = name.dropLast(suffix.count)
        return tail.suffix(digitCount).allSatisfy(isDigit)
            && tail.dropLast(digitCount).suffix(infix.count) == infix[...]
    }

    /// Whether `name` is a temporary of the target `base`.
    package static func isOne(_ name: [UInt8], for base: [UInt8]) -> Bool {
        let start = start(for: base)
        return isOne(name) && name.starts(with: start) && name.count == start.count + digitCount + suffix.count
    }

    private static func start(for base: [UInt8]) -> [UInt8] {
        let room = 255 - 1 - infix.count - digitCount - suffix.count
        return [dot] + base.prefix(room) + infix
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
