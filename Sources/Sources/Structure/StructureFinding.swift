import SluiceBytes

/// What a file's structure is, by its name or its first bytes.
public enum StructureKind: String, Sendable, Hashable {
    case safetensors
    case gguf
    /// `*.safetensors.index.json`, `*.bin.index.json`: which tensor is in which file.
    case shardIndex = "shard_index"
    case pickle
    /// None that is known here.
    case unknown
}

/// One thing that is not as the file itself, its name or its index says it is.
public struct StructureFault: Hashable, Sendable, CustomStringConvertible {
    /// What the two values are of: `size`, `offset of a.weight`.
    public let what: String
    /// What it should be.
    public let expected: String
    /// What it is.
    public let found: String
    /// What the user can do; nil if nothing but fetch it again.
    public let remedy: String?

    /// A fault from its parts, all of them printable.
    public init(_ what: String, expected: String, found: String, remedy: String? = nil) {
        self.what = what
        self.expected = expected
        self.found = found
        self.remedy = remedy
    }

    /// One sentence with both values.
    public var description: String {
        "\(what): expected \(expected), found \(found)" + (remedy.map { "; \($0)" } ?? "")
    }
}

/// The verdict on one file. `good` means that header and size agree, which proves that nothing is missing at its end;
/// what the tensors hold only a digest can prove.
public enum StructureFinding: Hashable, Sendable {
    case good
    case bad(StructureFault)
    /// Neither good nor bad: the reason.
    case notCheckable(String)
    /// A file that runs code when it is loaded; the form of it.
    case pickle(String)

    /// The name in JSON.
    public var name: String {
        switch self {
        case .good: "good"
        case .bad: "bad"
        case .notCheckable: "not_checkable"
        case .pickle: "pickle"
        }
    }

    /// Whether the file must not be used as it is.
    public var isBad: Bool {
        if case .bad = self { return true }
        return false
    }

    /// Why it is not simply good, for people; nil if it is.
    public var reason: String? {
        switch self {
        case .good: nil
        case .bad(let fault): fault.description
        case .notCheckable(let reason): "not checkable: \(reason)"
        case .pickle(let form): "pickle: runs code when loaded (\(form))"
        }
    }
}

/// One tensor as a header describes it.
public struct TensorInfo: Hashable, Sendable {
    /// The name: bytes, because names are compared.
    public let name: ObjectKey
    /// `BF16`, `Q4_K`, or `type 99`.
    public let type: String
    /// As the header has it: safetensors from the slowest dimension, GGUF from the fastest.
    public let shape: [UInt64]
    /// The first byte, counted from where the data begin.
    public let offset: UInt64
    /// The length in bytes; nil where the type's size is not known.
    public let length: UInt64?

    /// The product of the shape; nil if it passes the end of 64 bits.
    public var elements: UInt64? { TensorInfo.product(shape) }

    static func product(_ shape: [UInt64]) -> UInt64? {
        // Zero first: [2^63, 4, 0] holds nothing.
        if shape.contains(0) { return 0 }
        var product: UInt64 = 1
        for dimension in shape {
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            if overflow { return nil }
            product = next
        }
        return product
    }
}

/// What a header tells of a model.
public struct ModelFacts: Sendable {
    /// In the header's order.
    public var tensors: [TensorInfo]
    /// For people: names and short values, in the header's order.
    public var metadata: [(name: String, value: String)]
    /// The size that the file has to have; nil where it cannot be computed.
    public var expectedSize: UInt64?
    /// Which file of a split model it is; nil for a whole one.
    public var split: GGUFSplit?

    /// The elements of all tensors; nil if they pass the end of 64 bits.
    public var parameters: UInt64? {
        var sum: UInt64 = 0
        for tensor in tensors {
            guard let elements = tensor.elements else { return nil }
            let (next, overflow) = sum.addingReportingOverflow(elements)
            if overflow { return nil }
            sum = next
        }
        return sum
    }

    /// How many tensors there are of each type, by name.
    public var types: [(name: String, count: Int)] {
        Dictionary(tensors.map { ($0.type, 1) }, uniquingKeysWith: +).sorted { $0.key < $1.key }
            .map { (name: $0.key, count: $0.value) }
    }
}

/// Everything that is known of one file's structure.
public struct StructureReport: Sendable {
    /// What it is.
    public var kind: StructureKind
    /// The verdict.
    public var finding: StructureFinding
    /// The file's.
    public var size: UInt64 = 0
    /// What its header tells; nil if it has none, or none that could be read.
    public var facts: ModelFacts?
    /// What the index of a sharded model says: `ShardIndexCheck` goes on from there.
    public var index: ShardIndex?
    /// Worth knowing, and no fault.
    public var remarks: [String] = []

    init(_ kind: StructureKind, _ finding: StructureFinding, facts: ModelFacts? = nil) {
        self.kind = kind
        self.finding = finding
        self.facts = facts
    }
}

/// Why a reader stops before the end of a header.
package enum StructureStop: Error {
    case bad(StructureFault)
    case notCheckable(String)
    /// So many bytes of the file are needed, counted from its beginning.
    case needs(UInt64)

    static func bad(
        _ what: String,
        expected: String,
        found: String,
        remedy: String? = nil
    ) -> StructureStop {
        .bad(StructureFault(what, expected: expected, found: found, remedy: remedy))
    }

    /// The verdict that it means.
    package var finding: StructureFinding {
        switch self {
        case .bad(let fault): .bad(fault)
        case .notCheckable(let reason): .notCheckable(reason)
        case .needs(let count): .notCheckable("its header is longer than \(count) bytes")
        }
    }
}

/// Names and values of strangers inside our sentences.
enum Quoted {
    /// At most 80 bytes, printable, in quotes.
    static func text(_ bytes: some Collection<UInt8>) -> String {
        let isLong = bytes.count > 80
        return "'\(Printable.text(Array(bytes.prefix(80))))\(isLong ? "…" : "")'"
    }

    static func text(_ key: ObjectKey) -> String { text(key.bytes) }
}
