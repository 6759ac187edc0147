import SluiceBytes

/// Columns that text takes on a terminal.
enum Columns {
    /// The columns of a text without control characters.
    static func width(_ text: String) -> Int { text.reduce(0) { $0 + width($1) } }

    /// A character is as wide as its widest scalar; marks that combine add nothing (UAX #11).
    static func width(_ character: Character) -> Int {
        var widest = 0
        for scalar in character.unicodeScalars {
            // VARIATION SELECTOR-16 asks for the emoji form, which is two columns wide.
            if scalar.value == 0xFE0F { return 2 }
            widest = max(widest, width(scalar))
        }
        return widest
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: return wide.contains { $0.contains(scalar.value) } ? 2 : 1
        }
    }

    /// East Asian Wide and Fullwidth blocks, and emoji with a wide presentation (Unicode's EastAsianWidth.txt, whole
    /// blocks; a scalar that a terminal draws otherwise costs a column of layout, nothing else).
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x231A...0x231B, 0x23E9...0x23EC, 0x25FD...0x25FE, 0x2614...0x2615, 0x26AA...0x26AB,
        0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF, 0xA960...0xA97F,
        0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF01...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18AFF,
        0x1B000...0x1B2FF, 0x1F004...0x1F004, 0x1F0CF...0x1F0CF, 0x1F18E...0x1F19A, 0x1F200...0x1F320,
        0x1F32D...0x1F335, 0x1F337...0x1F64F, 0x1F680...0x1F6FF, 0x1F7E0...0x1F7EB, 0x1F900...0x1F9FF,
        0x1FA70...0x1FAFF, 0x20000...0x3FFFD,
    ]

    /// Fills up with spaces; text that is wider stays as it is.
    static func padded(_ text: String, to columns: Int, right: Bool = false) -> String {
        let spaces = String(repeating: " ", count: max(0, columns - width(text)))
        return right ? spaces + text : text + spaces
    }

    /// At most `columns` wide: the middle gives way to `…`, since names differ at their ends.
    static func shortened(_ text: String, to columns: Int) -> String {
        if width(text) <= columns { return text }
        guard columns > 0 else { return "" }
        let room = columns - 1
        let head = prefix(text, room / 2)
        let tail = String(prefix(String(text.reversed()), room - width(head)).reversed())
        return head + "…" + tail
    }

    /// The longest beginning that fits.
    static func prefix(_ text: some StringProtocol, _ columns: Int) -> String {
        var used = 0
        return String(
            text.prefix { character in
                used += width(character)
                return used <= columns
            }
        )
    }
}
