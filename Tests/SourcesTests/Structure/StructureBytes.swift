import SluiceBytes

@testable import SluiceSources

/// Model files made by hand.
enum StructureBytes {
    /// A safetensors file: the header's length, its text, and so many bytes of data.
    static func safetensors(_ json: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
        little(length ?? UInt64(json.utf8.count)) + Array(json.utf8) + [UInt8](repeating: 7, count: data)
    }

    /// One entry of a safetensors header.
    static func entry(_ name: String, _ type: String, _ shape: String, _ from: String, _ to: String) -> String {
        "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":[\(shape)],\"data_offsets\":[\(from),\(to)]}"
    }

    static func little<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    /// A check of bytes in memory, and the ranges that it read.
    static func check(_ name: String, _ bytes: [UInt8]) async throws -> (report: StructureReport, ranges: [ByteRange]) {
        var ranges: [ByteRange] = []
        let report = try await StructureCheck.check(name: ObjectKey(name), size: UInt64(bytes.count)) { range in
            ranges.append(range)
            return Array(bytes[Int(range.lower)..<Int(range.upper)])
        }
        return (report, ranges)
    }

    static func finding(_ name: String, _ bytes: [UInt8]) async throws -> StructureFinding {
        try await check(name, bytes).report.finding
    }
}

/// Writes GGUF.
struct GGUFBytes {
    var version: UInt32 = 3
    var isBigEndian = false
    var alignment: UInt64 = 32
    /// Each an entry's bytes.
    var metadata: [[UInt8]] = []
    /// Each a tensor's name, dimensions, type, offset.
    var tensors: [(name: String, shape: [UInt64], type: UInt32, offset: UInt64)] = []
    var tensorCount: UInt64?
    var metadataCount: UInt64?
    var data = 0

    func number<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
        let bytes = StructureBytes.little(number)
        return isBigEndian ? bytes.reversed() : bytes
    }

    func string(_ text: String) -> [UInt8] { number(UInt64(text.utf8.count)) + Array(text.utf8) }

    mutating func add(_ name: String, _ type: UInt32, _ value: [UInt8]) {
        metadata.append(string(name) + number(type) + value)
    }

    var header: [UInt8] {
        var bytes = Array("GGUF".utf8) + number(version)
        bytes += number(tensorCount ?? UInt64(tensors.count)) + number(metadataCount ?? UInt64(metadata.count))
        bytes += metadata.flatMap { $0 }
        for tensor in tensors {
            bytes += string(tensor.name) + number(UInt32(tensor.shape.count)) + tensor.shape.flatMap { number($0) }
            bytes += number(tensor.type) + number(tensor.offset)
        }
        return bytes
    }

    /// Header, padding, and so many bytes of data.
    var file: [UInt8] {
        let header = header
        let padding = (Int(alignment) - header.count % Int(alignment)) % Int(alignment)
        return header + [UInt8](repeating: 0, count: padding + data)
    }

    /// F32 [3], Q4_0 [32, 2], F16 without dimensions: 12, 36 and 2 bytes, padded to 32, 64 and 32.
    static var good: GGUFBytes {
        var gguf = GGUFBytes()
        gguf.add("general.architecture", 8, gguf.string("llama"))
        gguf.tensors = [("a", [3], 0, 0), ("b", [32, 2], 2, 32), ("c", [], 1, 96)]
        gguf.data = 128
        return gguf
    }
}

extension StructureFinding {
    /// Of a bad file: what both values are of.
    var what: String? {
        if case .bad(let fault) = self { fault.what } else { nil }
    }

    var isNotCheckable: Bool {
        if case .notCheckable = self { true } else { false }
    }

    var isPickle: Bool {
        if case .pickle = self { true } else { false }
    }
}
