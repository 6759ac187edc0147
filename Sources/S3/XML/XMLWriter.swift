/// Writes the small documents that S3 is sent, escaped, and refuses what XML cannot carry.
package struct XMLWriter {
    package private(set) var bytes: [UInt8] = Array(#"<?xml version="1.0" encoding="UTF-8"?>"#.utf8)

    package init() {}

    /// S3's namespace, on the root element.
    package static let namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

    package mutating func root(_ name: String, _ content: (inout XMLWriter) throws -> Void) rethrows {
        raw("<\(name) xmlns=\"\(XMLWriter.namespace)\">")
        try content(&self)
        raw("</\(name)>")
    }

    package mutating func element(_ name: String, _ content: (inout XMLWriter) throws -> Void) rethrows {
        raw("<\(name)>")
        try content(&self)
        raw("</\(name)>")
    }

    package mutating func element(_ name: String, text: String) throws {
        try element(name, bytes: Array(text.utf8))
    }

    /// - Throws: `XMLFailure.invalid` for bytes that are not UTF-8 or have control characters.
    package mutating func element(_ name: String, bytes value: [UInt8]) throws {
        guard XMLWriter.canCarry(value) else {
            throw XMLFailure.invalid("<\(name)> cannot carry \(S3Key(bytes: value))")
        }
        raw("<\(name)>")
        for byte in value { escape(byte) }
        raw("</\(name)>")
    }

    private mutating func escape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "&"): raw("&amp;")
        case UInt8(ascii: "<"): raw("&lt;")
        case UInt8(ascii: ">"): raw("&gt;")
        case UInt8(ascii: "\""): raw("&quot;")
        case UInt8(ascii: "'"): raw("&apos;")
        default: bytes.append(byte)
        }
    }

    private mutating func raw(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }

    /// XML 1.0 §2.2: no control characters, no U+FFFE and U+FFFF. Tab, LF and CR are legal, but a parser normalises
    /// CR, and servers differ in the others: they are refused too.
    static func canCarry(_ bytes: [UInt8]) -> Bool {
        guard let text = String(validating: bytes, as: UTF8.self) else { return false }
        return text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0xFFFE && $0.value != 0xFFFF }
    }
}
