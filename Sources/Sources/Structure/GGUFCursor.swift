import SluiceBytes

/// Steps through the beginning of a file of known size, as far as it is in memory.
struct GGUFCursor: Sendable {
    private let bytes: [UInt8]
    /// The whole file's.
    let size: UInt64
    /// The next byte's offset.
    private(set) var at = 0
    /// Whether numbers begin with their highest byte.
    var isBigEndian = false

    init(_ bytes: [UInt8], size: UInt64) {
        self.bytes = bytes
        self.size = max(size, UInt64(bytes.count))
    }

    /// Bytes of the file from here on.
    var left: UInt64 { size - UInt64(at) }

    /// Takes so many bytes; they are in memory, or `needs` says so.
    mutating func take(_ count: UInt64, _ what: @autoclosure () -> String) throws(StructureStop) -> ArraySlice<UInt8> {
        guard count <= left else {
            throw .bad(what(), expected: "\(count) bytes at \(at)", found: "\(left) to the end of the file")
        }
        let end = UInt64(at) + count
        guard end <= UInt64(bytes.count), let upper = Int(exactly: end) else { throw .needs(end) }
        defer { at = upper }
        return bytes[at..<upper]
    }

    mutating func integer<T: FixedWidthInteger & UnsignedInteger>(
        _ type: T.Type,
        _ what: @autoclosure () -> String
    ) throws(StructureStop) -> T {
        let taken = try take(UInt64(MemoryLayout<T>.size), what())
        // T is 8 to 64 bits wide: one accumulator serves all.
        var value: UInt64 = 0
        if isBigEndian {
            for byte in taken { value = value << 8 | UInt64(byte) }
        } else {
            for byte in taken.reversed() { value = value << 8 | UInt64(byte) }
        }
        return T(truncatingIfNeeded: value)
    }

    /// A length and so many bytes.
    mutating func string(_ what: @autoclosure () -> String) throws(StructureStop) -> ArraySlice<UInt8> {
        let count = try integer(UInt64.self, what())
        return try take(count, what())
    }

    /// How many there are of something that takes `least` bytes each, if they fit into the file.
    mutating func count(_ what: String, least: UInt64) throws(StructureStop) -> UInt64 {
        let count = try integer(UInt64.self, what)
        guard count <= left / least else {
            throw .bad(what, expected: "at most \(left / least) in the \(left) bytes that follow", found: "\(count)")
        }
        return count
    }
}
