import SluiceBytes

/// The header of a GGUF file: metadata, and a description of every tensor. Tensors lie in its order, each padded to the
/// alignment, so that the file's size is computable.
///
/// See: https://github.com/ggml-org/ggml (`docs/gguf.md`, `src/gguf.cpp`), whose rules these are.
public struct GGUFHeader: Sendable {
    /// 2 or 3.
    public let version: UInt32
    /// Whether its numbers begin with their highest byte: such files are for big-endian machines.
    public let isBigEndian: Bool
    /// In the header's order.
    public let tensors: [TensorInfo]
    /// In the header's order; arrays by their length only.
    public let metadata: [(name: String, value: String)]
    /// `general.alignment`, or 32.
    public let alignment: UInt64
    /// Where the descriptions end.
    public let length: UInt64
    /// Which file of a split model this is; nil for a whole one.
    public let split: GGUFSplit?

    /// More bytes are not read in search of a header's end; the largest vocabularies take tens of MB.
    static let longest: UInt64 = 128 << 20
    /// More than any model has; a header of nothing but tiny entries would take gigabytes of memory.
    static let mostTensors: UInt64 = 1_000_000
    static let mostMetadata: UInt64 = 10_000
    static let magic = Array("GGUF".utf8)

    /// Reads a header from the beginning of a file of `size` bytes; throws `needs` if it goes on behind `bytes`.
    package init(_ bytes: [UInt8], size: UInt64) throws(StructureStop) {
        var cursor = GGUFCursor(bytes, size: size)
        let magic = try cursor.take(4, "magic")
        guard magic.elementsEqual(GGUFHeader.magic) else {
            throw .bad("magic", expected: "'GGUF'", found: Quoted.text(magic))
        }
        version = try GGUFHeader.version(&cursor)
        isBigEndian = cursor.isBigEndian
        // A description of a tensor without dimensions takes 24 bytes, an entry of metadata 13.
        let tensorCount = try cursor.count("number of tensors", least: 24)
        let entryCount = try cursor.count("number of metadata entries", least: 13)
        guard tensorCount <= GGUFHeader.mostTensors, entryCount <= GGUFHeader.mostMetadata else {
            throw .notCheckable("it has \(tensorCount) tensors and \(entryCount) entries of metadata")
        }
        var entries = GGUFMetadata()
        for _ in 0..<entryCount { try entries.read(&cursor) }
        alignment = try entries.alignment()
        split = try entries.split()
        metadata = entries.entries.map { (MetadataText.name($0.name), $0.value.text) }
        var tensors: [TensorInfo] = []
        var names: Set<ObjectKey> = []
        for _ in 0..<tensorCount {
            let tensor = try GGUFHeader.tensor(&cursor)
            guard names.insert(tensor.name).inserted else {
                throw .bad("description of \(Quoted.text(tensor.name))", expected: "one", found: "two")
            }
            tensors.append(tensor)
        }
        self.tensors = tensors
        length = UInt64(cursor.at)
    }

    private static func version(_ cursor: inout GGUFCursor) throws(StructureStop) -> UInt32 {
        var version = try cursor.integer(UInt32.self, "version")
        if version & 0xFFFF == 0 {
            cursor.isBigEndian = true
            version = version.byteSwapped
        }
        switch version {
        case 2, 3: return version
        case 0: throw .bad("version", expected: "2 or 3", found: "0")
        default: throw .notCheckable("it is of GGUF version \(version); 2 and 3 are known")
        }
    }

    private static func tensor(_ cursor: inout GGUFCursor) throws(StructureStop) -> TensorInfo {
        let name = ObjectKey(bytes: try cursor.string("name of a tensor"))
        let dimensions = try cursor.integer(UInt32.self, "dimensions of \(Quoted.text(name))")
        guard dimensions <= 4 else {
            throw .bad("dimensions of \(Quoted.text(name))", expected: "at most 4", found: "\(dimensions)")
        }
        var shape: [UInt64] = []
        for _ in 0..<dimensions { shape.append(try cursor.integer(UInt64.self, "shape of \(Quoted.text(name))")) }
        let number = try cursor.integer(UInt32.self, "type of \(Quoted.text(name))")
        let offset = try cursor.integer(UInt64.self, "offset of \(Quoted.text(name))")
        let type = GGMLType.known[number]
        let length = type?.length(of: shape)
        if let type, length == nil {
            throw .bad(
                "shape of \(Quoted.text(name))",
                expected: "rows of whole blocks of \(type.elements), and less than 2^63 bytes of \(type.name)",
                found: "\(shape)"
            )
        }
        return TensorInfo(
            name: name,
            type: type?.name ?? "type \(number)",
            shape: shape,
            offset: offset,
            length: length
        )
    }

    // MARK: - Verdict

    /// Where the data begin.
    private var dataStart: UInt64? { GGUFHeader.padded(length, to: alignment) }

    /// The size of the file with the padding behind its last tensor, as far as it can be computed.
    public var expectedSize: UInt64? {
        guard let last = tensors.last else { return length }
        guard let length = last.length, let start = dataStart else { return nil }
        return GGUFHeader.sum(start, last.offset, length).flatMap { GGUFHeader.padded($0, to: alignment) }
    }

    /// Whether the header agrees with itself and with the file's size.
    package func finding(size: UInt64) -> StructureFinding {
        var next: UInt64 = 0
        for tensor in tensors {
            guard tensor.offset == next else {
                return .bad(
                    StructureFault(
                        "offset of \(Quoted.text(tensor.name))",
                        expected: "\(next), where the one before it ends",
                        found: "\(tensor.offset)"
                    )
                )
            }
            guard let length = tensor.length else {
                return .notCheckable("the size of \(tensor.type) of \(Quoted.text(tensor.name)) is not known")
            }
            guard let end = GGUFHeader.sum(next, length), let padded = GGUFHeader.padded(end, to: alignment) else {
                let fault = StructureFault("offsets", expected: "less than 2^64", found: "more")
                return .bad(fault)
            }
            next = padded
        }
        return sizeFinding(size)
    }

    /// Some writers leave out the padding at the end, none writes a part of it.
    private func sizeFinding(_ size: UInt64) -> StructureFinding {
        let last = tensors.last.map { ($0.offset, $0.length ?? 0) }
        let bare = last.flatMap { last in dataStart.flatMap { GGUFHeader.sum($0, last.0, last.1) } } ?? length
        guard let full = GGUFHeader.padded(bare, to: alignment) else {
            return .notCheckable("it ends beyond 2^64 bytes")
        }
        if size == full || size == bare { return .good }
        let either = full == bare ? "\(full) bytes" : "\(full) bytes (\(bare) without the padding at its end)"
        return .bad(StructureFault("size", expected: "\(either), by its header", found: "\(size) bytes"))
    }

    private static func sum(_ numbers: UInt64...) -> UInt64? {
        var sum: UInt64 = 0
        for number in numbers {
            let (next, overflow) = sum.addingReportingOverflow(number)
            if overflow { return nil }
            sum = next
        }
        return sum
    }

    /// The next multiple of `alignment`, a power of two.
    static func padded(_ offset: UInt64, to alignment: UInt64) -> UInt64? {
        sum(offset, alignment - 1).map { $0 & ~(alignment - 1) }
    }
}
