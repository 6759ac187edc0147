import SluiceBytes

/// The `Content-Range` of a 206 or a 416 (RFC 9110 §14.4), in half-open form.
public enum ContentRange: Sendable, Equatable {
    /// `bytes 0-9/100`, or `bytes 0-9/*` with no total.
    case range(ByteRange, total: UInt64?)
    /// `bytes */100`: the range asked for lies outside.
    case unsatisfied(total: UInt64)

    /// Parses the field's value; nil if it is not well formed: no digits, an end before its start, a total the range
    /// passes, another unit, more than 63 bits.
    public init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 2, words[0].lowercased() == "bytes" else { return nil }
        let halves = words[1].split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2 else { return nil }
        let total = HeadParser.decimal(halves[1])
        guard total != nil || halves[1] == "*" else { return nil }
        if halves[0] == "*" {
            guard let total else { return nil }
            self = .unsatisfied(total: total)
            return
        }
        let ends = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        // `decimal` keeps to 63 bits: adding one cannot overflow.
        guard ends.count == 2, let first = HeadParser.decimal(ends[0]), let last = HeadParser.decimal(ends[1]),
            first <= last, last < total ?? .max
        else { return nil }
        self = .range(ByteRange(first, last + 1), total: total)
    }
}
