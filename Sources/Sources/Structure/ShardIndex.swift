import SluiceBytes
import SluicePipeline

/// The index of a model that is cut into files: `weight_map` tells which tensor is in which.
public struct ShardIndex: Sendable {
    /// The tensors of each file, by the files' names beside the index.
    public let files: [ObjectKey: Set<ObjectKey>]
    /// How long it is, in bytes.
    public let size: UInt64
    /// `metadata.total_size`: the bytes of all tensors, if it is a whole number.
    public let totalSize: UInt64?

    /// A longer index is not read.
    static let longest: UInt64 = 100_000_000
    /// More than any model has.
    static let mostTensors = 1_000_000
    /// More than any model has: each is looked for, with a request where it is elsewhere.
    static let mostFiles = 10_000

    /// The files, by name.
    public var names: [ObjectKey] { files.keys.sorted() }

    /// How many tensors the index names.
    public var tensorCount: Int { files.values.reduce(0) { $0 + $1.count } }

    package init(_ bytes: [UInt8]) throws(StructureStop) {
        var reader = JSONReader(bytes)
        var files: [ObjectKey: Set<ObjectKey>]?
        var totalSize: UInt64?
        try reader.object { (reader, name) throws(StructureStop) in
            switch String(decoding: name, as: UTF8.self) {
            case "weight_map":
                if files != nil { throw .bad("weight_map", expected: "one", found: "two") }
                files = try ShardIndex.weightMap(&reader)
            case "metadata" where reader.peek() == UInt8(ascii: "{"):
                totalSize = try ShardIndex.totalSize(&reader)
            default: try reader.skip()
            }
        }
        try reader.end()
        guard let files else { throw .bad("weight_map", expected: "an object", found: "none") }
        self.files = files
        self.totalSize = totalSize
        size = UInt64(bytes.count)
    }

    private static func weightMap(
        _ reader: inout JSONReader
    ) throws(StructureStop) -> [ObjectKey: Set<ObjectKey>] {
        var files: [ObjectKey: Set<ObjectKey>] = [:]
        var names: Set<[UInt8]> = []
        try reader.object { (reader, tensor) throws(StructureStop) in
            guard names.insert(tensor).inserted else {
                throw .bad("file of \(Quoted.text(tensor))", expected: "one", found: "two")
            }
            guard names.count <= mostTensors else { throw .notCheckable("it names more than \(mostTensors) tensors") }
            let file = ObjectKey(bytes: try reader.string())
            // The name becomes a path beside the index.
            if files[file] == nil, (try? SafeName(file)) == nil {
                throw .bad(
                    "file of \(Quoted.text(tensor))",
                    expected: "a name beside the index",
                    found: Quoted.text(file)
                )
            }
            files[file, default: []].insert(ObjectKey(bytes: tensor))
            guard files.count <= mostFiles else { throw .notCheckable("it names more than \(mostFiles) files") }
        }
        return files
    }

    /// A size that is no whole number (some writers have 1.6e10) is left alone: it is of no weight.
    private static func totalSize(_ reader: inout JSONReader) throws(StructureStop) -> UInt64? {
        var size: UInt64?
        try reader.object { (reader, name) throws(StructureStop) in
            guard name == Array("total_size".utf8) else { return try reader.skip() }
            var ahead = reader
            size = try? ahead.unsigned()
            try reader.skip()
        }
        return size
    }
}

/// How much of a directory's indexes may be held at once: a publisher may put any number of them side by side.
public struct ShardIndexRoom: Sendable {
    private var held: UInt64 = 0

    /// Nothing is held yet.
    public init() {}

    /// Makes room for an index; where there is none it says so.
    public mutating func admit(_ index: ShardIndex) -> StructureFinding? {
        held += index.size
        guard held > ShardIndex.longest else { return nil }
        held -= index.size
        return .notCheckable(
            "it has \(index.size) bytes and the indexes beside it \(held), together more than \(ShardIndex.longest)"
        )
    }
}

/// Compares an index with its files, one by one, as they are looked at.
public struct ShardIndexCheck: Sendable {
    /// What the files have to be.
    public let index: ShardIndex
    private var isSeen: Set<ObjectKey> = []
    private var fault: StructureFault?
    private var unreadable: (file: ObjectKey, reason: String)?
    private var tensorBytes: UInt64? = 0

    /// A check of `index`, none of whose files was seen yet.
    public init(_ index: ShardIndex) {
        self.index = index
    }

    /// Files that were not noted yet, by name.
    public var waiting: [ObjectKey] { index.names.filter { !isSeen.contains($0) } }

    /// Takes in the report of a file beside the index; one that the index does not name is left alone.
    public mutating func note(_ file: ObjectKey, _ report: StructureReport) {
        guard let expected = index.files[file], isSeen.insert(file).inserted else { return }
        guard let facts = report.facts else {
            tensorBytes = nil
            // Names in a pickle file can only be had by running it.
            if case .pickle = report.finding { return }
            unreadable = unreadable ?? (file, report.finding.reason ?? "it has no header")
            return
        }
        for tensor in facts.tensors {
            guard let sum = tensorBytes, let length = tensor.length else {
                tensorBytes = nil
                break
            }
            let (next, overflow) = sum.addingReportingOverflow(length)
            tensorBytes = overflow ? nil : next
        }
        let found = Set(facts.tensors.map(\.name))
        guard found != expected else { return }
        let missing = expected.subtracting(found)
        let extra = found.subtracting(expected)
        let counts = [
            missing.min().map { "\(missing.count) of the index missing (\(Quoted.text($0)))" },
            extra.min().map { "\(extra.count) not in the index (\(Quoted.text($0)))" },
        ]
        add(
            StructureFault(
                "tensors of \(Quoted.text(file))",
                expected: "the \(expected.count) of the index",
                found: "\(found.count): " + counts.compactMap { $0 }.joined(separator: ", ")
            )
        )
    }

    /// A file of the index is not there.
    public mutating func noteMissing(_ file: ObjectKey) {
        guard index.files[file] != nil, isSeen.insert(file).inserted else { return }
        tensorBytes = nil
        add(
            StructureFault("file \(Quoted.text(file))", expected: "beside the index", found: "none", remedy: "fetch it")
        )
    }

    /// A file of the index could not be looked at.
    public mutating func noteUnknown(_ file: ObjectKey, _ reason: String) {
        guard index.files[file] != nil, isSeen.insert(file).inserted else { return }
        tensorBytes = nil
        unreadable = unreadable ?? (file, reason)
    }

    private mutating func add(_ fault: StructureFault) { self.fault = self.fault ?? fault }

    /// The verdict, after the last file was noted.
    public var finding: StructureFinding {
        if let fault { return .bad(fault) }
        if let unreadable { return .notCheckable("\(Quoted.text(unreadable.file)): \(unreadable.reason)") }
        if let first = waiting.first { return .notCheckable("\(Quoted.text(first)) was not looked at") }
        return .good
    }

    /// What is worth knowing and no fault.
    public var remarks: [String] {
        guard waiting.isEmpty, let tensorBytes, let said = index.totalSize, said != tensorBytes else { return [] }
        return ["total_size is \(said), the tensors take \(tensorBytes) bytes"]
    }
}
