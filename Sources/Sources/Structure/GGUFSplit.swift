import SluiceBytes

/// Which file of a split model one is, as its metadata say.
public struct GGUFSplit: Hashable, Sendable {
    /// From 0 on.
    public let number: UInt64
    /// How many files there are.
    public let count: UInt64
    /// The tensors of all files; nil if it is not said.
    public let tensors: UInt64?
}

/// Which file of a split model one is, as its name says: `BASE-00001-of-00003.gguf`.
public struct GGUFSplitName: Hashable, Sendable {
    /// What the names of all the files begin with.
    public let base: ObjectKey
    /// From 1 on.
    public let number: Int
    /// How many files there are.
    public let count: Int

    /// Nil if the name is not of that form, or of a file that cannot be.
    public init?(_ name: ObjectKey) {
        let bytes = name.bytes
        let form = Array("-#####-of-#####.gguf".utf8)
        guard bytes.count > form.count else { return nil }
        let tail = Array(bytes.suffix(form.count))
        for (byte, wanted) in zip(tail, form) {
            let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            guard wanted == UInt8(ascii: "#") ? isDigit : byte == wanted else { return nil }
        }
        guard let number = Int(String(decoding: tail[1..<6], as: UTF8.self)),
            let count = Int(String(decoding: tail[10..<15], as: UTF8.self)), number >= 1, number <= count
        else { return nil }
        base = ObjectKey(bytes: bytes.dropLast(form.count))
        self.number = number
        self.count = count
    }

    /// The same for all files of the model.
    public var anyOfModel: GGUFSplitName { GGUFSplitName(base: base, number: 1, count: count) }

    private init(base: ObjectKey, number: Int, count: Int) {
        self.base = base
        self.number = number
        self.count = count
    }

    /// The name of another file of the model.
    public func name(_ number: Int) -> ObjectKey {
        func five(_ number: Int) -> String {
            String(repeating: "0", count: max(0, 5 - "\(number)".count)) + "\(number)"
        }
        return base.appending(ObjectKey("-\(five(number))-of-\(five(count)).gguf"))
    }

    /// What is wrong if the file's metadata say something else.
    func fault(_ split: GGUFSplit?) -> StructureFault? {
        guard let split else { return nil }
        // llama.cpp loads the others by their names, and refuses such a one.
        guard split.number + 1 == UInt64(number), split.count == UInt64(count) else {
            return StructureFault(
                "split of its metadata",
                expected: "\(number) of \(count), as its name says",
                found: "\(split.number + 1) of \(split.count)",
                remedy: "give the file its own name again"
            )
        }
        return nil
    }
}

/// Whether the files of a split model are all there, and belong together.
public struct GGUFSplitCheck: Sendable {
    /// Any of the files.
    public let name: GGUFSplitName
    /// By number: how many tensors a file has and what it says of all; nil if it cannot be read.
    private var seen: [Int: (tensors: UInt64, ofAll: UInt64?)?] = [:]

    /// A check of the model that `name` is a part of.
    public init(_ name: GGUFSplitName) {
        self.name = name
    }

    /// Takes a file's report in; a file of another model is left alone.
    public mutating func note(_ file: ObjectKey, _ report: StructureReport) {
        guard let other = GGUFSplitName(file), other.base == name.base, other.count == name.count else { return }
        seen[other.number] = .some(report.facts.map { (UInt64($0.tensors.count), $0.split?.tensors) })
    }

    /// The verdict on all of them, after the last one was noted.
    public var finding: StructureFinding {
        guard seen.count == name.count else {
            let missing = (1...name.count).first { seen[$0] == nil } ?? 1
            return .bad(
                StructureFault(
                    "files of the split model",
                    expected: "\(name.count)",
                    found: "\(seen.count); \(Quoted.text(name.name(missing))) is missing",
                    remedy: "fetch what is missing"
                )
            )
        }
        let files = seen.values.compactMap { $0 }
        guard files.count == name.count else { return .notCheckable("not all of its files can be read") }
        let total = files.reduce(0) { $0 + $1.tensors }
        for said in files.compactMap(\.ofAll) where said != total {
            return .bad(
                StructureFault("tensors of all files", expected: "\(said), by split.tensors.count", found: "\(total)")
            )
        }
        return .good
    }
}
