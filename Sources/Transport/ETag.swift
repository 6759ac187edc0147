/// An entity tag (RFC 9110 §8.8.3), its quotes kept as they came.
public struct ETag: Sendable, Hashable, CustomStringConvertible {
    /// The opaque tag between its quotes.
    public let opaque: String
    /// Whether it proves equal bytes: no `W/` before it.
    public let isStrong: Bool

    /// Parses a field's value; nil if it is not an entity tag. A bare tag without quotes, which some stores send, is
    /// taken as a strong one.
    public init?(_ text: String) {
        let isWeak = text.hasPrefix("W/") || text.hasPrefix("w/")
        var tag = (isWeak ? text.dropFirst(2) : text[...])
        let isQuoted = tag.utf8.count >= 2 && tag.hasPrefix("\"") && tag.hasSuffix("\"")
        if isQuoted { tag = tag.dropFirst().dropLast() }
        guard isQuoted || !isWeak, isQuoted || !tag.isEmpty, tag.utf8.count <= 1024,
            tag.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\"") })
        else { return nil }
        opaque = String(tag)
        isStrong = !isWeak
    }

    /// Strong comparison: both are strong, and equal.
    public func matchesStrongly(_ other: ETag) -> Bool { isStrong && other.isStrong && opaque == other.opaque }

    /// The tag for `If-Match` and `If-Range`.
    public var description: String { (isStrong ? "" : "W/") + "\"\(opaque)\"" }
}
