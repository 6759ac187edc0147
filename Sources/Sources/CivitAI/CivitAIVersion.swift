import SluiceBytes
import SluicePipeline

/// One file of a version, as the API describes it.
package struct CivitAIFile: Hashable, Sendable {
    package let id: UInt64
    /// Neither safe nor unique.
    package let name: String
    /// In bytes, and only about so much: the hub tells kilobytes, rounded, and not always of these bytes.
    package let sizeHint: Double?
    package let sha256: Digest?
    package let blake3: Digest?
    /// `type`, and of its metadata `format`, `size`, `fp`, `quantType`: what a download's address may choose it by.
    package let words: [String: String]
    package let isPrimary: Bool

    /// What its bytes have to match. The short hashes that the hub gives beside these are no proof.
    package var published: [Digest] { (sha256 ?? blake3).map { [$0] } ?? [] }
}

/// An answer of `GET /api/v1/model-versions/ID`: pure, and nothing is believed.
package struct CivitAIVersion: Hashable, Sendable {
    package let id: UInt64
    package let model: UInt64
    package let files: [CivitAIFile]
    /// By name: `status`, `availability`, `usageControl`, `mode` of the model, … as far as they are told.
    package let told: [String: String]

    /// Files of one version that are believed; the largest known have a few dozen.
    static let mostFiles = 10_000

    /// - Throws: what is not as it has to be.
    package init(_ json: [UInt8]) throws(StructureStop) {
        var (id, model): (UInt64?, UInt64?)
        var files: [CivitAIFile]?
        var told: [String: String] = [:]
        var reader = JSONReader(json)
        try reader.members("the version") { (reader, name) throws(StructureStop) in
            switch name {
            case "id": id = try reader.unsigned()
            case "modelId": model = try reader.unsigned()
            case "files": files = try Self.files(&reader)
            case "model": try Self.model(&reader, &told)
            case _ where Self.texts.contains(name): told[name] = try reader.textOrNull()
            default: try reader.skip()
            }
        }
        try reader.end()
        guard let id, let model, let files, id > 0, model > 0 else {
            let missing = id ?? 0 == 0 ? "id" : model ?? 0 == 0 ? "modelId" : "files"
            throw .bad("the version", expected: missing, found: "none")
        }
        (self.id, self.model, self.files, self.told) = (id, model, files, told)
    }

    private static let texts: Set<String> = [
        "name", "baseModel", "air", "status", "availability", "usageControl", "earlyAccessEndsAt", "updatedAt",
    ]

    private static func model(_ reader: inout JSONReader, _ told: inout [String: String]) throws(StructureStop) {
        if try reader.null() { return }
        var found: [String: String] = [:]
        try reader.members("the model") { (reader, name) throws(StructureStop) in
            switch name {
            case "name": found["modelName"] = try reader.textOrNull()
            case "type": found["modelType"] = try reader.textOrNull()
            case "mode": found["mode"] = try reader.textOrNull()
            default: try reader.skip()
            }
        }
        told.merge(found) { $1 }
    }

    private static func files(_ reader: inout JSONReader) throws(StructureStop) -> [CivitAIFile] {
        var files: [CivitAIFile] = []
        var ids: Set<UInt64> = []
        try reader.array { (reader) throws(StructureStop) in
            let file = try CivitAIFile(&reader)
            guard ids.insert(file.id).inserted else {
                throw .bad("file \(file.id)", expected: "one", found: "two")
            }
            guard files.count < mostFiles else { throw .bad("files", expected: "at most \(mostFiles)", found: "more") }
            files.append(file)
        }
        return files
    }

    // MARK: - Names

    /// Each file with its place in the version's tree, in byte order: its own name if that can be kept and is the only
    /// one of it; otherwise `ID/NAME`, whose first part no name has. So no two files have one place, whatever they are
    /// called, and none leads elsewhere.
    package var tree: [(path: ObjectKey, file: CivitAIFile)] {
        let counts = Dictionary(files.map { (ObjectKey($0.name), 1) }, uniquingKeysWith: +)
        return files.map { file in
            let name = ObjectKey(file.name)
            // Nothing but digits might be the first part of another's place.
            let isKept = Self.isComponent(name) && counts[name] == 1 && CivitAINumber.parse(name.bytes) == nil
            return (isKept ? name : ObjectKey("\(file.id)/").appending(Self.component(name)), file)
        }
        .sorted { $0.path < $1.path }
    }

    private static func isComponent(_ name: ObjectKey) -> Bool {
        name.relativeRefusal == nil && !name.bytes.contains(UInt8(ascii: "/"))
    }

    /// A name as one component; what cannot stand in one, as `%2F`.
    private static func component(_ name: ObjectKey) -> ObjectKey {
        if isComponent(name) { return name }
        let dots = name.bytes.allSatisfy { $0 == UInt8(ascii: ".") }
        let escaped = name.bytes.flatMap { byte -> [UInt8] in
            let isPlain = byte >= 0x20 && byte != 0x7F && !"/%".utf8.contains(byte) && !dots
            return isPlain ? [byte] : Array("%\(TextEncoding.hex([byte]).uppercased())".utf8)
        }
        return escaped.isEmpty ? ObjectKey("unnamed") : ObjectKey(bytes: escaped)
    }

    // MARK: - State

    static let stateLength = 16

    /// Which files it has: 16 digits of a SHA-256 over ids, names and published digests. A version can be edited.
    package var state: String {
        var hash = SHA256()
        for file in files.sorted(by: { $0.id < $1.id }) {
            for text in ["\(file.id)", file.name, file.published.first?.description ?? ""] {
                // Each with its length before it: no two lists of fields are the same bytes.
                Array("\(text.utf8.count):\(text)".utf8).withUnsafeBytes { hash.update($0) }
            }
        }
        return String(hash.finalized().hex.prefix(CivitAIVersion.stateLength))
    }
}

extension CivitAIFile {
    init(_ reader: inout JSONReader) throws(StructureStop) {
        var id: UInt64?
        var name: String?
        var (size, primary): (Double?, Bool?)
        var words: [String: String] = [:]
        var hashes: [String: String] = [:]
        try reader.members("a file") { (reader, field) throws(StructureStop) in
            switch field {
            case "id": id = try reader.unsigned()
            case "name": name = try reader.textOrNull()
            case "sizeKB": size = try reader.null() ? nil : try reader.real()
            case "type": words["type"] = try reader.textOrNull()
            case "primary": primary = try reader.null() ? nil : try reader.truth()
            case "metadata":
                let told = try reader.texts("metadata", of: CivitAIPlace.choosing.subtracting(["type"]))
                words.merge(told) { $1 }
            case "hashes": hashes = try reader.texts("hashes", of: ["SHA256", "BLAKE3"])
            default: try reader.skip()
            }
        }
        guard let id, id > 0, let name else {
            throw .bad("a file", expected: id ?? 0 == 0 ? "id" : "name", found: "none")
        }
        if let size, !(0..<Double(Int64.max) / 1_024).contains(size) {
            throw .bad("sizeKB of file \(id)", expected: "the size of a file", found: "\(size)")
        }
        self.id = id
        self.name = name
        sizeHint = size.map { $0 * 1_024 }
        self.words = words
        isPrimary = primary ?? false
        sha256 = try Self.digest(.sha256, hashes["SHA256"], id)
        blake3 = try Self.digest(.blake3, hashes["BLAKE3"], id)
    }

    private static func digest(
        _ algorithm: DigestAlgorithm,
        _ hex: String?,
        _ id: UInt64
    ) throws(StructureStop) -> Digest? {
        guard let hex else { return nil }
        guard let digest = Digest(algorithm, hex: hex.lowercased()) else {
            let what = "\(algorithm.rawValue) of file \(id)"
            throw .bad(what, expected: "64 hexadecimal digits", found: Quoted.text(Array(hex.utf8)))
        }
        return digest
    }
}

/// An answer of `GET /api/v1/models/ID`, as far as its versions go: pure.
package struct CivitAIModel: Hashable, Sendable {
    package let id: UInt64
    package let mode: String?
    /// In the hub's order, the newest first.
    package let versions: [UInt64]

    /// - Throws: what is not as it has to be.
    package init(_ json: [UInt8]) throws(StructureStop) {
        var id: UInt64?
        var mode: String?
        var versions: [UInt64]?
        var reader = JSONReader(json)
        try reader.members("the model") { (reader, name) throws(StructureStop) in
            switch name {
            case "id": id = try reader.unsigned()
            case "mode": mode = try reader.textOrNull()
            case "modelVersions": versions = try Self.versions(&reader)
            default: try reader.skip()
            }
        }
        try reader.end()
        guard let id, id > 0, let versions else {
            throw .bad("the model", expected: id ?? 0 == 0 ? "id" : "modelVersions", found: "none")
        }
        (self.id, self.mode, self.versions) = (id, mode, versions)
    }

    private static func versions(_ reader: inout JSONReader) throws(StructureStop) -> [UInt64] {
        var versions: [UInt64] = []
        try reader.array { (reader) throws(StructureStop) in
            var id: UInt64?
            var status: String?
            try reader.members("a version") { (reader, name) throws(StructureStop) in
                switch name {
                case "id": id = try reader.unsigned()
                case "status": status = try reader.textOrNull()
                default: try reader.skip()
                }
            }
            guard let id, id > 0 else { throw .bad("a version", expected: "id", found: "none") }
            if status == nil || status == "Published" { versions.append(id) }
        }
        return versions
    }
}

extension JSONReader {
    /// Hands every member of an object to `member`; a name comes once.
    mutating func members(
        _ what: String,
        _ member: (inout JSONReader, String) throws(StructureStop) -> Void
    ) throws(StructureStop) {
        var seen: Set<[UInt8]> = []
        try object { (reader, name) throws(StructureStop) in
            guard seen.insert(name).inserted else {
                throw .bad("\(Quoted.text(name)) of \(what)", expected: "one", found: "two")
            }
            try member(&reader, String(decoding: name, as: UTF8.self))
        }
    }

    mutating func textOrNull() throws(StructureStop) -> String? {
        if try null() { return nil }
        return String(decoding: try string(), as: UTF8.self)
    }

    /// Those members of an object that are wanted; empty for null.
    mutating func texts(_ what: String, of wanted: Set<String>) throws(StructureStop) -> [String: String] {
        if try null() { return [:] }
        var texts: [String: String] = [:]
        try members(what) { (reader, name) throws(StructureStop) in
            if wanted.contains(name) { texts[name] = try reader.textOrNull() } else { try reader.skip() }
        }
        return texts
    }
}
