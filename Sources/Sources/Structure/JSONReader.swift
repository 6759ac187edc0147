import SluiceBytes

/// Reads JSON (RFC 8259) that strangers wrote: it keeps no tree, so that a header of 100 MB costs what the caller keeps
/// of it; it does not recurse; its integers are exact, and every member is seen, the second of a name too.
struct JSONReader: Sendable {
    private let bytes: [UInt8]
    private var at: Int

    /// Levels of a value that is skipped: as many as serde_json takes, which reads the same files.
    static let deepest = 128

    /// Reads from `start` on; offsets in faults count from the beginning of `bytes`.
    init(_ bytes: [UInt8], from start: Int = 0) {
        self.bytes = bytes
        at = min(max(0, start), bytes.count)
    }

    // MARK: - Values

    /// Hands every member of an object to `member`, which reads its value.
    mutating func object(
        _ member: (inout JSONReader, [UInt8]) throws(StructureStop) -> Void
    ) throws(StructureStop) {
        try expect("{", "an object")
        if taken("}") { return }
        repeat {
            let name = try string()
            try expect(":", "':'")
            try member(&self, name)
        } while taken(",")
        try expect("}", "',' or '}'")
    }

    /// Has every element of an array read by `element`.
    mutating func array(_ element: (inout JSONReader) throws(StructureStop) -> Void) throws(StructureStop) {
        try expect("[", "an array")
        if taken("]") { return }
        repeat { try element(&self) } while taken(",")
        try expect("]", "',' or ']'")
    }

    /// The UTF-8 bytes of a string, its escapes resolved.
    mutating func string() throws(StructureStop) -> [UInt8] {
        try expect("\"", "a string")
        let start = at
        var isPlain = true
        while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
            guard bytes[at] >= 0x20 else { throw fault("a string without control bytes") }
            isPlain = isPlain && bytes[at] < 0x80 && bytes[at] != UInt8(ascii: "\\")
            at += bytes[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard at < bytes.count else {
            at = bytes.count
            throw fault("the end of a string")
        }
        let raw = bytes[start..<at]
        at += 1
        if isPlain { return Array(raw) }
        let resolved = try resolve(raw)
        guard String(validating: resolved, as: UTF8.self) != nil else { throw fault("UTF-8 in a string", at: start) }
        return resolved
    }

    /// A whole number from 0 to 2^64 - 1, without fraction or exponent.
    mutating func unsigned() throws(StructureStop) -> UInt64 {
        _ = peek()
        let start = at
        let expected = "a whole number from 0 to 2^64 - 1"
        guard at < bytes.count, bytes[at] == UInt8(ascii: "-") || isDigit(at) else { throw fault(expected) }
        try number()
        var value: UInt64 = 0
        for byte in bytes[start..<at] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { throw fault(expected, at: start) }
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLargeNow) = product.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            if isTooLarge || isTooLargeNow { throw fault(expected, at: start) }
            value = sum
        }
        return value
    }

    /// Any number that 64 bits of floating point hold.
    mutating func real() throws(StructureStop) -> Double {
        _ = peek()
        let start = at
        guard at < bytes.count, bytes[at] == UInt8(ascii: "-") || isDigit(at) else { throw fault("a number") }
        try number()
        guard let value = Double(String(decoding: bytes[start..<at], as: UTF8.self)), value.isFinite else {
            throw fault("a number below 1.8e308", at: start)
        }
        return value
    }

    mutating func truth() throws(StructureStop) -> Bool {
        let isTrue = peek() == UInt8(ascii: "t")
        guard isTrue || peek() == UInt8(ascii: "f") else { throw fault("true or false") }
        try word(isTrue ? "true" : "false")
        return isTrue
    }

    /// Passes over a null; false if the value is another.
    mutating func null() throws(StructureStop) -> Bool {
        guard peek() == UInt8(ascii: "n") else { return false }
        try word("null")
        return true
    }

    /// Passes over any value, whatever it holds.
    mutating func skip() throws(StructureStop) {
        var closers: [UInt8] = []
        while true {
            switch peek() {
            case UInt8(ascii: "{"):
                at += 1
                if !taken("}") {
                    try enter("}", &closers)
                    _ = try string()
                    try expect(":", "':'")
                    continue
                }
            case UInt8(ascii: "["):
                at += 1
                if !taken("]") {
                    try enter("]", &closers)
                    continue
                }
            default: try scalar()
            }
            if try !leave(&closers) { return }
        }
    }

    /// Nothing but blanks is left.
    mutating func end() throws(StructureStop) {
        if peek() != nil { throw fault("nothing after the value") }
    }

    /// The next byte that is no blank; nil at the end.
    mutating func peek() -> UInt8? {
        while at < bytes.count, isBlank(bytes[at]) { at += 1 }
        return at < bytes.count ? bytes[at] : nil
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    // MARK: - Skipping

    private mutating func enter(_ closer: Unicode.Scalar, _ closers: inout [UInt8]) throws(StructureStop) {
        guard closers.count < JSONReader.deepest else {
            throw .bad("JSON, byte \(at)", expected: "at most \(JSONReader.deepest) levels", found: "one more")
        }
        closers.append(UInt8(ascii: closer))
    }

    /// After a value: true if another one follows.
    private mutating func leave(_ closers: inout [UInt8]) throws(StructureStop) -> Bool {
        while let closer = closers.last {
            if taken(",") {
                if closer == UInt8(ascii: "}") {
                    _ = try string()
                    try expect(":", "':'")
                }
                return true
            }
            guard peek() == closer else { throw fault("',' or '\(Unicode.Scalar(closer))'") }
            at += 1
            closers.removeLast()
        }
        return false
    }

    private mutating func scalar() throws(StructureStop) {
        switch peek() {
        case UInt8(ascii: "\""): _ = try string()
        case UInt8(ascii: "t"): try word("true")
        case UInt8(ascii: "f"): try word("false")
        case UInt8(ascii: "n"): try word("null")
        default: try number()
        }
    }

    private mutating func word(_ word: String) throws(StructureStop) {
        guard bytes[at...].starts(with: word.utf8) else { throw fault("a value") }
        at += word.utf8.count
    }

    /// RFC 8259 §6.
    private mutating func number() throws(StructureStop) {
        _ = taken("-", afterBlanks: false)
        if taken("0", afterBlanks: false) {
            // No digit follows a leading zero.
            if isDigit(at) { throw fault("a number without leading zeros") }
        } else {
            try digits()
        }
        if taken(".", afterBlanks: false) { try digits() }
        if taken("e", afterBlanks: false) || taken("E", afterBlanks: false) {
            if !taken("+", afterBlanks: false) { _ = taken("-", afterBlanks: false) }
            try digits()
        }
    }

    private mutating func digits() throws(StructureStop) {
        guard isDigit(at) else { throw fault("a value") }
        while isDigit(at) { at += 1 }
    }

    private func isDigit(_ place: Int) -> Bool {
        place < bytes.count && (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[place])
    }

    // MARK: - Strings

    private func resolve(_ raw: ArraySlice<UInt8>) throws(StructureStop) -> [UInt8] {
        var resolved: [UInt8] = []
        resolved.reserveCapacity(raw.count)
        var place = raw.startIndex
        while place < raw.endIndex {
            guard raw[place] == UInt8(ascii: "\\") else {
                resolved.append(raw[place])
                place += 1
                continue
            }
            // A backslash is never the last byte: the scan took what follows it along.
            let kind = raw[place + 1]
            if kind == UInt8(ascii: "u") {
                resolved += Array(String(try scalar(raw, &place)).utf8)
            } else if let plain = JSONReader.escapes[kind] {
                resolved.append(plain)
                place += 2
            } else {
                throw fault("an escape of JSON", at: place)
            }
        }
        return resolved
    }

    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "\""): UInt8(ascii: "\""), UInt8(ascii: "\\"): UInt8(ascii: "\\"),
        UInt8(ascii: "/"): UInt8(ascii: "/"), UInt8(ascii: "b"): 0x08, UInt8(ascii: "f"): 0x0C,
        UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]

    /// `\uXXXX`, or two of them that make one scalar beyond the first plane.
    private func scalar(_ raw: ArraySlice<UInt8>, _ place: inout Int) throws(StructureStop) -> Unicode.Scalar {
        let start = place
        let first = try hex(raw, &place)
        if let scalar = Unicode.Scalar(first) { return scalar }
        let isPair = (0xD800..<0xDC00).contains(first) && raw[place...].starts(with: Array("\\u".utf8))
        if isPair, case let second = try hex(raw, &place), (0xDC00..<0xE000).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
        {
            return scalar
        }
        throw fault("a pair of surrogates", at: start)
    }

    private func hex(_ raw: ArraySlice<UInt8>, _ place: inout Int) throws(StructureStop) -> UInt32 {
        let digits = raw[place...].dropFirst(2).prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("four hexadecimal digits", at: place) }
        place += 6
        return value
    }

    // MARK: - Bytes

    private mutating func taken(_ byte: Unicode.Scalar, afterBlanks: Bool = true) -> Bool {
        let next = afterBlanks ? peek() : at < bytes.count ? bytes[at] : nil
        guard next == UInt8(ascii: byte) else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ byte: Unicode.Scalar, _ expected: String) throws(StructureStop) {
        if !taken(byte) { throw fault(expected) }
    }

    private func fault(_ expected: String, at place: Int? = nil) -> StructureStop {
        let place = min(place ?? at, bytes.count)
        let rest = bytes[place...].prefix(24)
        return .bad(
            "JSON, byte \(place)",
            expected: expected,
            found: rest.isEmpty ? "the end" : Quoted.text(rest)
        )
    }
}
