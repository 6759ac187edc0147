import SluiceBytes

/// The metadata of a GGUF header while it is read.
struct GGUFMetadata: Sendable {
    /// In the header's order.
    private(set) var entries: [(name: [UInt8], value: GGUFValue)] = []
    private var places: [[UInt8]: Int] = [:]

    /// Arrays may hold arrays; nobody writes more levels.
    private static let deepest = 8

    /// Reads the next entry.
    mutating func read(_ cursor: inout GGUFCursor) throws(StructureStop) {
        let name = Array(try cursor.string("name of a metadata entry"))
        let value = try GGUFMetadata.value(of: GGUFMetadata.type(&cursor, name), &cursor, name)
        guard places.updateValue(entries.count, forKey: name) == nil else {
            throw .bad("metadata \(Quoted.text(name))", expected: "one", found: "two")
        }
        entries.append((name, value))
    }

    /// A type that is not known here has no known length: nothing behind it can be read.
    private static func type(_ cursor: inout GGUFCursor, _ name: [UInt8]) throws(StructureStop) -> GGUFValueType {
        let number = try cursor.integer(UInt32.self, "type of metadata \(Quoted.text(name))")
        guard let type = GGUFValueType(rawValue: number) else {
            throw .notCheckable("its metadata \(Quoted.text(name)) is of type \(number), which is not known")
        }
        return type
    }

    private static func value(
        of type: GGUFValueType,
        _ cursor: inout GGUFCursor,
        _ name: [UInt8]
    ) throws(StructureStop) -> GGUFValue {
        // Said only if something is wrong.
        func what() -> String { "metadata \(Quoted.text(name))" }
        switch type {
        case .uint8: return .unsigned(UInt64(try cursor.integer(UInt8.self, what())))
        case .uint16: return .unsigned(UInt64(try cursor.integer(UInt16.self, what())))
        case .uint32: return .unsigned(UInt64(try cursor.integer(UInt32.self, what())))
        case .uint64: return .unsigned(try cursor.integer(UInt64.self, what()))
        case .int8: return .signed(Int64(Int8(bitPattern: try cursor.integer(UInt8.self, what()))))
        case .int16: return .signed(Int64(Int16(bitPattern: try cursor.integer(UInt16.self, what()))))
        case .int32: return .signed(Int64(Int32(bitPattern: try cursor.integer(UInt32.self, what()))))
        case .int64: return .signed(Int64(bitPattern: try cursor.integer(UInt64.self, what())))
        case .float32: return .float(Double(Float(bitPattern: try cursor.integer(UInt32.self, what()))))
        case .float64: return .float(Double(bitPattern: try cursor.integer(UInt64.self, what())))
        case .bool: return .bool(try cursor.integer(UInt8.self, what()) != 0)
        case .string:
            let bytes = try cursor.string(what())
            return .string(Array(bytes.prefix(MetadataText.longest)), count: bytes.count)
        case .array: return try array(&cursor, name, level: 1)
        }
    }

    private static func array(
        _ cursor: inout GGUFCursor,
        _ name: [UInt8],
        level: Int
    ) throws(StructureStop) -> GGUFValue {
        let type = try type(&cursor, name)
        guard level <= deepest else {
            throw .notCheckable("its metadata \(Quoted.text(name)) has arrays of more than \(deepest) levels")
        }
        let count = try cursor.count("elements of metadata \(Quoted.text(name))", least: type.size)
        if type.isFixed {
            // The product is at most what is left of the file.
            _ = try cursor.take(count * type.size, "metadata \(Quoted.text(name))")
        } else {
            for _ in 0..<count {
                if type == .string {
                    _ = try cursor.string("metadata \(Quoted.text(name))")
                } else {
                    _ = try array(&cursor, name, level: level + 1)
                }
            }
        }
        return .array(type, count: count)
    }

    // MARK: - What the format itself reads

    private subscript(_ name: String) -> GGUFValue? { places[Array(name.utf8)].map { entries[$0].value } }

    /// A power of two.
    func alignment() throws(StructureStop) -> UInt64 {
        guard let value = self["general.alignment"] else { return 32 }
        guard case .unsigned(let number) = value, number.nonzeroBitCount == 1, number <= UInt64(UInt32.max) else {
            throw .bad("general.alignment", expected: "a power of two", found: value.text)
        }
        return number
    }

    func split() throws(StructureStop) -> GGUFSplit? {
        guard let count = self["split.count"] else { return nil }
        guard let number = self["split.no"], let number = number.number, let count = count.number, number < count else {
            throw .bad(
                "split.no",
                expected: "a number below split.count (\(count.text))",
                found: self["split.no"]?.text ?? "none"
            )
        }
        return GGUFSplit(number: number, count: count, tensors: self["split.tensors.count"]?.number)
    }
}
