import SluiceBytes

/// The structure checks of model files: what a file is, and whether its header, its size and its name agree. Only
/// headers are read, in ascending ranges, never the tensors.
public enum StructureCheck {
    /// What a file has to be by its name; nil: its first bytes tell.
    static func kind(_ name: ObjectKey) -> StructureKind? {
        let text = name.lastComponent.text.lowercased()
        if text.hasSuffix(".safetensors") { return .safetensors }
        if text.hasSuffix(".gguf") { return .gguf }
        // `model.safetensors.index.json`, and diffusers' `model.safetensors.index.fp16.json`.
        if text.hasSuffix(".json"), text.contains(".safetensors.index.") || text.contains(".bin.index.") {
            return .shardIndex
        }
        return pickleEndings.contains { text.hasSuffix($0) } ? .pickle : nil
    }

    private static let pickleEndings = [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"]

    /// Whether a file of this name has a structure that is known here.
    public static func knows(_ name: ObjectKey) -> Bool { kind(name) != nil }

    /// Whether a file of this name is the index of a model that is cut into files: good only as they are.
    public static func isIndex(_ name: ObjectKey) -> Bool { kind(name) == .shardIndex }

    /// The first bytes that a check of a file of this name reads.
    public static func leadLength(_ name: ObjectKey) -> UInt64 {
        switch kind(name) {
        // Enough to know a page or a pointer by, and no tensor of the smallest file.
        case .safetensors: 64
        case .gguf: 64 << 10
        default: ContentForm.leadLength
        }
    }

    /// Looks at one file.
    ///
    /// - Parameters:
    ///   - name: the file's own; what stands before the last `/` is of no weight.
    ///   - size: the whole file's.
    ///   - read: the bytes of a range, all of them, or an error. Ranges ascend, and none begins before the last one ended.
    /// - Returns: the verdict. An index comes out as not checkable: `ShardIndexCheck` compares it with its files.
    public static func check(
        name: ObjectKey,
        size: UInt64,
        read: @escaping (ByteRange) async throws -> [UInt8]
    ) async throws -> StructureReport {
        var begin = Beginning(size: size, read: read)
        try await begin.grow(to: leadLength(name))
        let form = ContentForm(begin.bytes, size: size)
        var report =
            switch kind(name) {
            case .safetensors: try await safetensors(form, &begin)
            case .gguf: try await gguf(name, form, &begin)
            case .shardIndex: try await index(form, &begin)
            case .pickle: try await pickle(name, form, &begin)
            case .unknown, nil: try await byContent(name, form, &begin)
            }
        report.size = size
        return report
    }

    /// The beginning of a file, as far as it was read.
    private struct Beginning {
        let size: UInt64
        let read: (ByteRange) async throws -> [UInt8]
        private(set) var bytes: [UInt8] = []

        init(size: UInt64, read: @escaping (ByteRange) async throws -> [UInt8]) {
            self.size = size
            self.read = read
        }

        /// Reads up to `end`, or to the end of the file.
        mutating func grow(to end: UInt64) async throws {
            let range = ByteRange(UInt64(bytes.count), min(end, size))
            if !range.isEmpty { bytes += try await read(range) }
        }
    }

    private static func safetensors(_ form: ContentForm, _ begin: inout Beginning) async throws -> StructureReport {
        switch form {
        // Damage within the format is told by the header's own rules.
        case .safetensors, .other: break
        default: return StructureReport(.safetensors, .bad(foreign(form, "safetensors")))
        }
        do {
            let end = try SafetensorsHeader.end(begin.bytes, size: begin.size)
            try await begin.grow(to: end)
            let header = try SafetensorsHeader(Array(begin.bytes.prefix(Int(end))))
            let facts = ModelFacts(
                tensors: header.tensors,
                metadata: header.metadata,
                expectedSize: header.expectedSize
            )
            return StructureReport(.safetensors, header.finding(size: begin.size), facts: facts)
        } catch let stop as StructureStop {
            return StructureReport(.safetensors, stop.finding)
        }
    }

    private static func gguf(
        _ name: ObjectKey,
        _ form: ContentForm,
        _ begin: inout Beginning
    ) async throws -> StructureReport {
        switch form {
        case .gguf: break
        case .other where begin.size < 4: break
        default: return StructureReport(.gguf, .bad(foreign(form, "GGUF", begin: begin.bytes)))
        }
        do {
            let header = try await ggufHeader(&begin)
            var facts = ModelFacts(
                tensors: header.tensors,
                metadata: header.metadata,
                expectedSize: header.expectedSize
            )
            facts.split = header.split
            var report = StructureReport(.gguf, header.finding(size: begin.size), facts: facts)
            if let fault = GGUFSplitName(name.lastComponent)?.fault(header.split), !report.finding.isBad {
                report.finding = .bad(fault)
            }
            if header.isBigEndian { report.remarks.append("its numbers are big-endian") }
            return report
        } catch let stop as StructureStop {
            return StructureReport(.gguf, stop.finding)
        }
    }

    /// Reads on in growing steps until the header is whole: it does not tell its length.
    private static func ggufHeader(_ begin: inout Beginning) async throws -> GGUFHeader {
        while true {
            // No pattern after `catch`: the compiler (6.3.1) ends with an internal error.
            let count: UInt64
            switch headerSoFar(begin) {
            case .success(let header): return header
            case .failure(.needs(let needed)): count = needed
            case .failure(let stop): throw stop
            }
            guard count <= GGUFHeader.longest, count > UInt64(begin.bytes.count) else {
                throw StructureStop.notCheckable("its header is longer than \(ByteCount(GGUFHeader.longest))")
            }
            let step = UInt64(begin.bytes.count) * 16
            try await begin.grow(to: min(max(count, step), GGUFHeader.longest))
        }
    }

    private static func headerSoFar(_ begin: Beginning) -> Result<GGUFHeader, StructureStop> {
        do { return .success(try GGUFHeader(begin.bytes, size: begin.size)) } catch { return .failure(error) }
    }

    private static func index(_ form: ContentForm, _ begin: inout Beginning) async throws -> StructureReport {
        switch form {
        case .json, .other: break
        default: return StructureReport(.shardIndex, .bad(foreign(form, "JSON text")))
        }
        guard begin.size <= ShardIndex.longest else {
            return StructureReport(.shardIndex, .notCheckable("it is longer than \(ShardIndex.longest) bytes"))
        }
        do {
            try await begin.grow(to: begin.size)
            var report = StructureReport(.shardIndex, .notCheckable("its files were not looked at"))
            report.index = try ShardIndex(begin.bytes)
            return report
        } catch let stop as StructureStop {
            return StructureReport(.shardIndex, stop.finding)
        }
    }

    private static func pickle(
        _ name: ObjectKey,
        _ form: ContentForm,
        _ begin: inout Beginning
    ) async throws -> StructureReport {
        switch form {
        case .lfsPointer, .webPage, .empty: return StructureReport(.pickle, .bad(foreign(form, "a model's data")))
        // A .bin may hold anything.
        case .other, .zip, .gzip:
            if name.text.lowercased().hasSuffix(".bin") { return try await byContent(name, form, &begin) }
            return StructureReport(.pickle, .pickle("\(form.text), by its name"))
        default: return try await byContent(name, form, &begin)
        }
    }

    private static func byContent(
        _ name: ObjectKey,
        _ form: ContentForm,
        _ begin: inout Beginning
    ) async throws -> StructureReport {
        switch form {
        case .gguf: return try await gguf(name, form, &begin)
        case .safetensors: return try await safetensors(form, &begin)
        case .torchArchive: return StructureReport(.pickle, .pickle("PyTorch's archive, data.pkl"))
        case .legacyTorch: return StructureReport(.pickle, .pickle("PyTorch before 1.6"))
        case .pickle(let version): return StructureReport(.pickle, .pickle("protocol \(version)"))
        default:
            return StructureReport(.unknown, .notCheckable("it holds \(form.text), nothing of a known structure"))
        }
    }

    /// The name says one thing, the bytes are another.
    private static func foreign(_ form: ContentForm, _ wanted: String, begin: [UInt8] = []) -> StructureFault {
        let found = form == .other && !begin.isEmpty ? "\(Quoted.text(begin.prefix(4))) in front" : form.text
        return StructureFault("content", expected: wanted, found: found, remedy: form.remedy)
    }
}
