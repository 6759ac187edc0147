/// Makes foreign bytes safe to show: what a server or a file name says must not drive a terminal.
public enum Printable {
    /// The UTF-8 text of `bytes`, with C0, C1, DEL, bidirectional and zero-width characters and invalid bytes escaped.
    public static func text(_ bytes: some Collection<UInt8>) -> String { text(of: Array(bytes)) }

    private static func text(of bytes: [UInt8]) -> String {
        // Most of what is shown is plain ASCII.
        if bytes.allSatisfy({ (0x20..<0x7F).contains($0) }) { return String(decoding: bytes, as: UTF8.self) }
        var text = ""
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        decoding: while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): text += isPlain(scalar) ? String(scalar) : escape(scalar)
            case .emptyInput: break decoding
            case .error: text += "\\x??"
            }
        }
        return text
    }

    /// The text with everything unsafe escaped.
    public static func text(_ string: String) -> String { text(Array(string.utf8)) }

    /// Whether a scalar is neither a control, nor a direction mark, nor invisible.
    package static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x200B...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF, 0x061C: false
        default: true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let hex = String(scalar.value, radix: 16)
        return scalar.value < 256 ? "\\x" + (hex.count < 2 ? "0" : "") + hex : "\\u{\(hex)}"
    }
}
