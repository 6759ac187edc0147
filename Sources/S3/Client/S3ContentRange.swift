import SluiceBytes

/// `Content-Range: bytes 0-9/100` of a 206 (RFC 9110 §14.4), made half-open.
struct S3ContentRange: Hashable {
    let range: ByteRange
    /// Nil for `*`.
    let total: UInt64?

    /// Nil if it is not one, or its numbers contradict each other.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bytes" else { return nil }
        let sides = words[1].split(separator: "/", omittingEmptySubsequences: false)
        let ends = sides.first?.split(separator: "-", omittingEmptySubsequences: false) ?? []
        guard sides.count == 2, ends.count == 2, let first = S3ContentRange.number(ends[0]),
            let last = S3ContentRange.number(ends[1]), first <= last, last < .max
        else { return nil }
        if sides[1] == "*" {
            total = nil
        } else {
            guard let length = S3ContentRange.number(sides[1]), last < length else { return nil }
            total = length
        }
        range = ByteRange(first, last + 1)
    }

    static func number(_ text: some StringProtocol) -> UInt64? {
        !text.isEmpty && text.utf8.allSatisfy { (48...57).contains($0) } ? UInt64(text) : nil
    }
}
