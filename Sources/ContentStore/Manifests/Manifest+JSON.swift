import SluiceBytes
import SluicePipeline

/// A manifest's file without its files.
struct ManifestHead: Codable, Sendable {
    let version: Int
    let kind: String
    let name: String
    let revision: String
    let nonce: String
}

/// What every version of it has.
struct ManifestVersion: Decodable, Sendable {
    let version: Int
}

// MARK: - Files

/// Digits of a SHA-256, and a size: what all who look at blobs read of a file.
struct BlobUse: Decodable, Hashable, Sendable {
    let blob: BlobKey
    let size: ByteCount

    init(from decoder: any Decoder) throws {
        try self.init(decoder.container(keyedBy: Manifest.File.CodingKeys.self))
    }

    fileprivate init(_ container: KeyedDecodingContainer<Manifest.File.CodingKeys>) throws {
        guard let blob = BlobKey(hex: try container.decode(String.self, forKey: .sha256)) else {
            throw DecodingError.dataCorruptedError(forKey: .sha256, in: container, debugDescription: "no SHA-256")
        }
        self.blob = blob
        size = ByteCount(try container.decode(UInt64.self, forKey: .size))
    }
}

/// The same with the blob's other names.
struct NamedBlob: Decodable, Sendable {
    let use: BlobUse
    let alternates: [Manifest.Alternate]

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Manifest.File.CodingKeys.self)
        use = try BlobUse(container)
        alternates = try container.decodeIfPresent([Manifest.Alternate].self, forKey: .alternates) ?? []
    }
}

extension Manifest.File: Codable {
    enum CodingKeys: String, CodingKey {
        case path, size, sha256, alternates, sources
        /// Absent for the first.
        case generation
        /// The bytes in hexadecimal digits of a path that is not UTF-8.
        case pathHex = "path_hex"
    }

    /// - Throws: for one that this program would not have written.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let use = try BlobUse(container)
        let path = try container.decodeIfPresent(String.self, forKey: .path)
        let pathHex = try container.decodeIfPresent(String.self, forKey: .pathHex)
        let generation = try container.decodeIfPresent(Int.self, forKey: .generation) ?? 1
        let bytes = path.map { Array($0.utf8) } ?? pathHex.flatMap { TextEncoding.bytes(hex: $0) }
        guard let bytes, (path == nil) != (pathHex == nil), (1...Manifest.lastGeneration).contains(generation) else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(codingPath: decoder.codingPath, debugDescription: "no path, or no generation")
            )
        }
        self.init(
            path: ObjectKey(bytes: bytes),
            size: use.size,
            digest: use.blob.digest,
            alternates: try container.decodeIfPresent([Manifest.Alternate].self, forKey: .alternates) ?? [],
            sources: try container.decodeIfPresent([String].self, forKey: .sources) ?? [],
            generation: generation
        )
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if let text = path.losslessText {
            try container.encode(text, forKey: .path)
        } else {
            try container.encode(TextEncoding.hex(path.bytes), forKey: .pathHex)
        }
        try container.encode(size.bytes, forKey: .size)
        try container.encode(digest.hex, forKey: .sha256)
        if !alternates.isEmpty { try container.encode(alternates, forKey: .alternates) }
        if !sources.isEmpty { try container.encode(sources, forKey: .sources) }
        if generation != 1 { try container.encode(generation, forKey: .generation) }
    }
}

// MARK: - The whole

extension Manifest {
    static let suffix = ".json"
    /// What every reader of JSON takes for a whole number (RFC 8259 §6).
    static let lastGeneration = (1 << 53) - 1
    /// Room for a million files of 250 bytes.
    static let limit = ByteCount.mebibytes(256)

    private struct Form: Encodable {
        let head: ManifestHead
        let files: [Manifest.File]

        enum CodingKeys: CodingKey { case files }

        func encode(to encoder: any Encoder) throws {
            try head.encode(to: encoder)
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(files, forKey: .files)
        }
    }

    func encoded() throws(SluiceError) -> [UInt8] {
        let head = ManifestHead(
            version: StoreRecord.version,
            kind: name.kind,
            name: name.name,
            revision: name.revision,
            nonce: nonce
        )
        let bytes = try StoreRecord.encode(Form(head: head, files: files))
        guard UInt64(bytes.count) <= Manifest.limit.bytes else {
            throw SluiceError(
                .limit,
                object: "\(name)",
                "the manifest has \(bytes.count) bytes, and \(Manifest.limit) can be kept",
                remedy: "copy it in several parts, each under a name of its own"
            )
        }
        return bytes
    }

    /// The name that its bytes give it.
    func fileName() throws(SluiceError) -> ManifestFileName {
        let bytes = try encoded()
        return ManifestFileName(name.revisionName, bytes.withUnsafeBytes { SHA256.hash($0) })
    }
}
