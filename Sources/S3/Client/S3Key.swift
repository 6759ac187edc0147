/// An object's key: bytes, compared and sorted as bytes.
///
/// Swift's `String` holds two spellings of é for equal and does not sort by bytes; S3 does neither.
package struct S3Key: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    package let bytes: [UInt8]

    package init(bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    /// The key of a text's UTF-8 bytes, nothing normalised.
    package init(_ text: some StringProtocol) {
        bytes = Array(text.utf8)
    }

    package init(stringLiteral text: String) {
        bytes = Array(text.utf8)
    }

    package static func < (left: S3Key, right: S3Key) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }

    package func hasPrefix(_ prefix: S3Key) -> Bool { bytes.starts(with: prefix.bytes) }

    /// The key as a path of a request: encoded once, its slashes kept.
    package var encodedPath: String { S3Encoding.path(bytes) }

    /// Whether XML 1.0 can carry it: valid UTF-8 without control characters (tab, LF and CR are rewritten on the way,
    /// so they do not count as carried either).
    package var fitsXML: Bool { XMLWriter.canCarry(bytes) }

    /// For people: valid text as it is; control bytes, backslashes and bytes that are not UTF-8 as `\xNN`. Two
    /// different keys never look the same.
    package var description: String {
        var out = ""
        var rest = bytes[...]
        while let first = rest.first {
            if let (text, length) = S3Key.printable(rest) {
                out += text
                rest = rest.dropFirst(length)
            } else {
                let hex = String(first, radix: 16, uppercase: true)
                out += "\\x" + (hex.count == 1 ? "0" + hex : hex)
                rest = rest.dropFirst()
            }
        }
        return out
    }

    /// The one printable character at the front of `bytes`; nil if there is none.
    private static func printable(_ bytes: ArraySlice<UInt8>) -> (text: String, length: Int)? {
        guard let first = bytes.first else { return nil }
        let length: Int
        switch first {
        case 0x20..<0x7F: length = first == UInt8(ascii: "\\") ? 0 : 1
        case 0xC2..<0xE0: length = 2
        case 0xE0..<0xF0: length = 3
        case 0xF0..<0xF5: length = 4
        default: length = 0
        }
        guard length > 0, bytes.count >= length, let text = String(validating: bytes.prefix(length), as: UTF8.self),
            let scalar = text.unicodeScalars.first, !isHidden(scalar)
        else { return nil }
        return (text, length)
    }

    /// C1 controls, and what turns or hides text on a terminal.
    private static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned: true
        default: false
        }
    }
}
