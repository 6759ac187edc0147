import SluiceBytes

/// The types of metadata values.
///
/// See: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
enum GGUFValueType: UInt32, Sendable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// Bytes of a value; of a string or an array the least.
    var size: UInt64 {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64, .string: 8
        case .array: 12
        }
    }

    /// Whether every value of the type has `size` bytes.
    var isFixed: Bool { self != .string && self != .array }
}

/// A metadata value, as much of it as is of use.
enum GGUFValue: Sendable, Hashable {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    /// The beginning, and the whole length.
    case string([UInt8], count: Int)
    case array(GGUFValueType, count: UInt64)

    /// The number, if it is one from 0 on.
    var number: UInt64? {
        switch self {
        case .unsigned(let value): value
        case .signed(let value): UInt64(exactly: value)
        default: nil
        }
    }

    var text: String {
        switch self {
        case .unsigned(let value): "\(value)"
        case .signed(let value): "\(value)"
        case .float(let value): "\(value)"
        case .bool(let value): "\(value)"
        case .string(let begin, let count):
            MetadataText.value(begin) + (count > begin.count ? "… (\(count) bytes)" : "")
        case .array(let type, let count): "[\(count) × \(type)]"
        }
    }
}

/// The types of tensors whose sizes are known: so many elements make a block of so many bytes.
struct GGMLType: Sendable {
    let name: String
    let elements: UInt64
    let bytes: UInt64

    private init(_ name: String, _ elements: UInt64, _ bytes: UInt64) {
        self.name = name
        self.elements = elements
        self.bytes = bytes
    }

    /// By `enum ggml_type`. Q8_1 (9) is left out: no file has it, and ggml and gguf-py differ on its size.
    static let known: [UInt32: GGMLType] = [
        0: .init("F32", 1, 4), 1: .init("F16", 1, 2), 2: .init("Q4_0", 32, 18), 3: .init("Q4_1", 32, 20),
        6: .init("Q5_0", 32, 22), 7: .init("Q5_1", 32, 24), 8: .init("Q8_0", 32, 34), 10: .init("Q2_K", 256, 84),
        11: .init("Q3_K", 256, 110), 12: .init("Q4_K", 256, 144), 13: .init("Q5_K", 256, 176),
        14: .init("Q6_K", 256, 210), 15: .init("Q8_K", 256, 292), 16: .init("IQ2_XXS", 256, 66),
        17: .init("IQ2_XS", 256, 74), 18: .init("IQ3_XXS", 256, 98), 19: .init("IQ1_S", 256, 50),
        20: .init("IQ4_NL", 32, 18), 21: .init("IQ3_S", 256, 110), 22: .init("IQ2_S", 256, 82),
        23: .init("IQ4_XS", 256, 136), 24: .init("I8", 1, 1), 25: .init("I16", 1, 2), 26: .init("I32", 1, 4),
        27: .init("I64", 1, 8), 28: .init("F64", 1, 8), 29: .init("IQ1_M", 256, 56), 30: .init("BF16", 1, 2),
        34: .init("TQ1_0", 256, 54), 35: .init("TQ2_0", 256, 66), 39: .init("MXFP4", 32, 17),
        40: .init("NVFP4", 64, 36), 41: .init("Q1_0", 128, 18), 42: .init("Q2_0", 64, 18),
    ]

    /// The bytes of a tensor whose fastest dimension comes first; nil if a row is no whole number of blocks, or it
    /// passes the end of 63 bits.
    func length(of shape: [UInt64]) -> UInt64? {
        guard (shape.first ?? 1) % elements == 0, shape.allSatisfy({ $0 <= UInt64(Int64.max) }),
            let count = TensorInfo.product(shape)
        else { return nil }
        let (length, overflow) = (count / elements).multipliedReportingOverflow(by: bytes)
        return overflow || length > UInt64(Int64.max) ? nil : length
    }
}
