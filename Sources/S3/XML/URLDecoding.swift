import SluiceBytes

/// The inverse of the encoding that listings use.
enum URLDecoding {
    /// Percent escapes decoded, `+` to a space; nil for a broken escape.
    static func bytes(_ text: [UInt8]) -> [UInt8]? {
        var out: [UInt8] = []
        out.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            switch text[index] {
            case UInt8(ascii: "+"): out.append(0x20)
            case UInt8(ascii: "%"):
                guard index + 2 < text.count, let high = TextEncoding.hexValue(text[index + 1]),
                    let low = TextEncoding.hexValue(text[index + 2])
                else { return nil }
                out.append(high << 4 | low)
                index += 2
            default: out.append(text[index])
            }
            index += 1
        }
        return out
    }
}
