import SluiceBytes

/// The file name that `Content-Disposition` proposes (RFC 6266, RFC 8187). A proposal of a stranger: the caller still
/// decides whether it makes a safe local name.
public enum ContentDisposition {
    /// The longest name, in bytes.
    public static let nameLimit = 255

    /// The last path component of the proposed name, as bytes; nil if there is none, or one with control characters,
    /// text direction marks, or nothing but dots.
    ///
    /// `filename*` (UTF-8 and ISO-8859-1) goes before `filename`; where it cannot be decoded, `filename` counts.
    public static func fileName(_ value: String) -> [UInt8]? {
        guard value.utf8.count <= 8 << 10 else { return nil }
        var plain: [UInt8]?
        var extended: [UInt8]?
        for (name, value) in parameters(Array(value.utf8)) {
            if name == "filename", plain == nil { plain = value }
            if name == "filename*", extended == nil { extended = decodeExtended(value) }
        }
        return [extended, plain].lazy.compactMap { $0.flatMap(cleaned) }.first
    }

    /// Splits `attachment; a=b; c="d"` into its parameters, quoted pairs undone.
    private static func parameters(_ bytes: [UInt8]) -> [(String, [UInt8])] {
        var found: [(String, [UInt8])] = []
        var rest = bytes.drop { $0 != UInt8(ascii: ";") }
        while rest.first == UInt8(ascii: ";") {
            rest = rest.dropFirst().drop { $0 == 32 || $0 == 9 }
            let name = rest.prefix { $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ";") }
            rest = rest.dropFirst(name.count)
            var value: [UInt8] = []
            if rest.first == UInt8(ascii: "=") {
                rest = rest.dropFirst().drop { $0 == 32 || $0 == 9 }
                if rest.first == UInt8(ascii: "\"") {
                    rest = rest.dropFirst()
                    while let byte = rest.popFirst(), byte != UInt8(ascii: "\"") {
                        if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                            value.append(next)
                        } else {
                            value.append(byte)
                        }
                    }
                    rest = rest.drop { $0 != UInt8(ascii: ";") }
                } else {
                    value = Array(rest.prefix { $0 != UInt8(ascii: ";") })
                    rest = rest.dropFirst(value.count)
                    while let last = value.last, last == 32 || last == 9 { value.removeLast() }
                }
            }
            let text = String(decoding: name, as: UTF8.self).lowercased()
            found.append((String(text.prefix { $0 != " " && $0 != "\t" }), value))
        }
        return found
    }

    /// `UTF-8'en'na%C3%AFve.txt` (RFC 8187 §3.2); nil if it is not one.
    private static func decodeExtended(_ value: [UInt8]) -> [UInt8]? {
        let parts = value.split(separator: UInt8(ascii: "'"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var bytes: [UInt8] = []
        var rest = parts[2]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.popFirst().flatMap(TextEncoding.hexValue),
                    let low = rest.popFirst().flatMap(TextEncoding.hexValue)
                else { return nil }
                bytes.append(high << 4 | low)
            } else {
                bytes.append(byte)
            }
        }
        switch String(decoding: parts[0], as: UTF8.self).lowercased() {
        case "utf-8": return String(validating: bytes, as: UTF8.self) == nil ? nil : bytes
        case "iso-8859-1":
            var text = ""
            for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
            return Array(text.utf8)
        default: return nil
        }
    }

    private static func cleaned(_ name: [UInt8]) -> [UInt8]? {
        let separators = [UInt8(ascii: "/"), UInt8(ascii: "\\")]
        let base = name.lastIndex(where: separators.contains).map { Array(name[($0 + 1)...]) } ?? name
        guard !base.isEmpty, base.count <= nameLimit, !base.allSatisfy({ $0 == UInt8(ascii: ".") || $0 == 32 }) else {
            return nil
        }
        let text = String(decoding: base, as: UTF8.self)
        let isPlain = text.unicodeScalars.allSatisfy { scalar in
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0, 0x61C, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F, 0xFEFF: false
            default: true
            }
        }
        return isPlain ? base : nil
    }
}
