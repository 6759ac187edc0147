import SluiceBytes

/// The header of a safetensors file: its length as a little-endian u64, and a JSON object that describes every tensor.
///
/// See: https://github.com/safetensors/safetensors (`safetensors/src/tensor.rs`), whose rules these are.
public struct SafetensorsHeader: Sendable {
    /// `dtype`, `shape` and `data_offsets` of each, in the header's order.
    public let tensors: [TensorInfo]
    /// `__metadata__`, in the header's order.
    public let metadata: [(name: String, value: String)]
    /// Header and its length together: where the data begin.
    public let length: UInt64

    /// The longest JSON that the format allows.
    static let longest: UInt64 = 100_000_000
    /// More than any model has; a header of nothing but tiny entries would take gigabytes of memory.
    static let mostTensors = 1_000_000
    static let mostMetadata = 10_000

    /// Where the header ends, from the first eight bytes of a file of `size` bytes.
    package static func end(_ lead: [UInt8], size: UInt64) throws(StructureStop) -> UInt64 {
        guard size >= 8, lead.count >= 8 else {
            throw .bad("size", expected: "at least 8 bytes", found: "\(size) bytes")
        }
        let count = lead[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard count <= longest else {
            throw .bad("length of the header", expected: "at most \(longest) bytes", found: "\(count) bytes")
        }
        guard count <= size - 8 else {
            throw .bad("size", expected: "at least \(8 + count) bytes, by its header's length", found: "\(size) bytes")
        }
        guard count >= 2 else { throw .bad("length of the header", expected: "at least 2 bytes", found: "\(count)") }
        return 8 + count
    }

    /// Reads the whole header, its length included.
    package init(_ bytes: [UInt8]) throws(StructureStop) {
        guard bytes.count > 8, bytes[8] == UInt8(ascii: "{") else {
            let begin = bytes.dropFirst(8).prefix(8)
            throw .bad("byte 8", expected: "'{'", found: begin.isEmpty ? "the end" : Quoted.text(begin))
        }
        var reader = JSONReader(bytes, from: 8)
        var tensors: [TensorInfo] = []
        var metadata: [(name: String, value: String)]?
        var names: Set<[UInt8]> = []
        try reader.object { (reader, name) throws(StructureStop) in
            guard names.insert(name).inserted else {
                throw .bad("description of \(Quoted.text(name))", expected: "one", found: "two")
            }
            if name == SafetensorsHeader.metadataName {
                metadata = try SafetensorsHeader.metadata(&reader)
            } else {
                guard tensors.count < SafetensorsHeader.mostTensors else {
                    throw .notCheckable("it has more than \(SafetensorsHeader.mostTensors) tensors")
                }
                tensors.append(try SafetensorsHeader.tensor(name, &reader))
            }
        }
        try reader.end()
        self.tensors = tensors
        self.metadata = metadata ?? []
        length = UInt64(bytes.count)
    }

    private static let metadataName = Array("__metadata__".utf8)

    private static func metadata(
        _ reader: inout JSONReader
    ) throws(StructureStop) -> [(name: String, value: String)] {
        var entries: [(name: String, value: String)] = []
        try reader.object { (reader, name) throws(StructureStop) in
            guard entries.count < mostMetadata else {
                throw .notCheckable("it has more than \(mostMetadata) entries of metadata")
            }
            let value = try reader.string()
            entries.append((MetadataText.name(name), MetadataText.value(value)))
        }
        return entries
    }

    private static func tensor(_ name: [UInt8], _ reader: inout JSONReader) throws(StructureStop) -> TensorInfo {
        var type: [UInt8]?
        var shape: [UInt64]?
        var offsets: [UInt64]?
        try reader.object { (reader, field) throws(StructureStop) in
            let isSecond: Bool
            switch String(decoding: field, as: UTF8.self) {
            case "dtype":
                isSecond = type != nil
                type = try reader.string()
            case "shape":
                isSecond = shape != nil
                shape = try numbers(&reader, atMost: 64)
            case "data_offsets":
                isSecond = offsets != nil
                offsets = try numbers(&reader, atMost: 2)
            default:
                isSecond = false
                try reader.skip()
            }
            if isSecond {
                throw .bad("\(Quoted.text(field)) of \(Quoted.text(name))", expected: "one", found: "two")
            }
        }
        guard let type, let shape, let offsets, offsets.count == 2 else {
            let missing = type == nil ? "dtype" : shape == nil ? "shape" : "data_offsets of two numbers"
            throw .bad("description of \(Quoted.text(name))", expected: missing, found: "none")
        }
        guard offsets[0] <= offsets[1] else {
            throw .bad(
                "data_offsets of \(Quoted.text(name))",
                expected: "an end at \(offsets[0]) or later",
                found: "\(offsets[1])"
            )
        }
        return TensorInfo(
            name: ObjectKey(bytes: name),
            type: Printable.text(type.prefix(32)),
            shape: shape,
            offset: offsets[0],
            length: offsets[1] - offsets[0]
        )
    }

    private static func numbers(_ reader: inout JSONReader, atMost limit: Int) throws(StructureStop) -> [UInt64] {
        var numbers: [UInt64] = []
        try reader.array { (reader) throws(StructureStop) in
            guard numbers.count < limit else {
                throw .bad("array of numbers", expected: "at most \(limit)", found: "more")
            }
            numbers.append(try reader.unsigned())
        }
        return numbers
    }

    // MARK: - Verdict

    /// What the header says that the file's size is; nil if it passes the end of 64 bits.
    public var expectedSize: UInt64? {
        var end: UInt64 = 0
        for tensor in tensors { end = max(end, tensor.offset + (tensor.length ?? 0)) }
        let (size, overflow) = length.addingReportingOverflow(end)
        return overflow ? nil : size
    }

    /// Whether the header agrees with itself and with the file's size.
    package func finding(size: UInt64) -> StructureFinding {
        var next: UInt64 = 0
        var unknown: TensorInfo?
        // By both ends: tensors without bytes lie between two others.
        let ordered = tensors.sorted { ($0.offset, $0.length ?? 0) < ($1.offset, $1.length ?? 0) }
        for tensor in ordered {
            let length = tensor.length ?? 0
            guard tensor.offset == next else {
                return .bad(
                    StructureFault(
                        "offset of \(Quoted.text(tensor.name))",
                        expected: "\(next), where the one before it ends",
                        found: "\(tensor.offset)"
                    )
                )
            }
            next = tensor.offset + length
            switch SafetensorsHeader.needed(tensor) {
            case .unknownType: unknown = unknown ?? tensor
            case .bytes(let needed):
                if needed == length { continue }
                return .bad(
                    StructureFault(
                        "length of \(Quoted.text(tensor.name))",
                        expected: "\(needed) bytes for \(tensor.type) \(tensor.shape)",
                        found: "\(length) bytes"
                    )
                )
            case .impossible(let problem):
                return .bad(
                    StructureFault(
                        "length of \(Quoted.text(tensor.name))",
                        expected: "\(length) bytes",
                        found: "\(tensor.type) \(tensor.shape), \(problem)"
                    )
                )
            }
        }
        guard let expectedSize, expectedSize == size else {
            return .bad(
                StructureFault(
                    "size",
                    expected: expectedSize.map { "\($0) bytes, by its header" } ?? "less than 2^64 bytes",
                    found: "\(size) bytes"
                )
            )
        }
        guard let unknown else { return .good }
        return .notCheckable(
            "the size is right, but the type \(unknown.type) of \(Quoted.text(unknown.name)) is not known"
        )
    }

    private enum Needed {
        case bytes(UInt64)
        case impossible(String)
        case unknownType
    }

    private static func needed(_ tensor: TensorInfo) -> Needed {
        guard let width = bits[tensor.type] else { return .unknownType }
        guard let elements = tensor.elements else { return .impossible("2^64 elements or more") }
        let (total, overflow) = elements.multipliedReportingOverflow(by: width)
        if overflow { return .impossible("2^64 bits or more") }
        return total % 8 == 0 ? .bytes(total / 8) : .impossible("\(total) bits: no whole bytes")
    }

    /// Bits of one element.
    private static let bits: [String: UInt64] = [
        "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
    ]
}

/// Metadata for people.
enum MetadataText {
    /// Longer ones (chat templates) are cut.
    static let longest = 2000

    static func name(_ bytes: [UInt8]) -> String { Printable.text(bytes.prefix(200)) }

    static func value(_ bytes: some Collection<UInt8>) -> String {
        let text = Printable.text(Array(bytes.prefix(longest)))
        return bytes.count > longest ? "\(text)… (\(bytes.count) bytes)" : text
    }
}
