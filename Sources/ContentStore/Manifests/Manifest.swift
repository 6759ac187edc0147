import SluiceBytes
import SluicePipeline

/// Files of one revision of something: the only lasting reason to keep their blobs. Never changed once published.
///
/// A revision may have several: writers on many hosts add files to one tree, each by manifests of its own. All of them
/// together are the tree (`Tree`).
package struct Manifest: Hashable, Sendable {
    /// Another name that a publisher has for the same bytes: `git-sha1`, `md5`, `etag`, `blake3`, …
    package struct Alternate: Hashable, Sendable, Codable {
        package let kind: String
        package let value: String

        package init(kind: String, value: String) {
            self.kind = kind
            self.value = value
        }

        /// A CRC finds accidents, and no blobs.
        var isLookedFor: Bool { !kind.hasPrefix("crc") }
    }

    /// One file.
    package struct File: Hashable, Sendable {
        /// Relative, as bytes.
        package let path: ObjectKey
        package let size: ByteCount
        package let digest: Digest
        package let alternates: [Alternate]
        /// Where it can be fetched again; without credentials.
        package let sources: [String]
        /// Of two files of one path the one of the higher generation is in the tree: what replaces another has one more.
        package let generation: Int

        package init(
            path: ObjectKey,
            size: ByteCount,
            digest: Digest,
            alternates: [Alternate] = [],
            sources: [String] = [],
            generation: Int = 1
        ) {
            self.path = path
            self.size = size
            self.digest = digest
            self.alternates = alternates
            self.sources = sources.map { Redact.location($0) }
            self.generation = generation
        }
    }

    package let name: RevisionName
    /// In the order of their paths.
    package let files: [File]
    /// Random, so that no two manifests that were ever written have one name: whoever removes one that he has read
    /// removes that one, and none that another host published since.
    let nonce: String

    /// - Throws: `.unsafeName` for two files of one path, an empty path, one with a NUL or with `..`, and an absolute
    ///   one; `.internalFault` for a digest that is no SHA-256.
    package init(_ name: RevisionName, _ files: [File]) throws(SluiceError) {
        try self.init(name, files, nonce: ContentStore.randomName().description)
    }

    init(_ name: RevisionName, _ files: [File], nonce: String) throws(SluiceError) {
        self.name = name
        self.nonce = nonce
        self.files = files.sorted { $0.path < $1.path }
        for (index, file) in self.files.enumerated() {
            guard file.digest.algorithm == .sha256 else {
                throw SluiceError(.internalFault, object: "\(file.path)", "its digest is \(file.digest)")
            }
            let isTwice = index > 0 && self.files[index - 1].path == file.path
            guard !isTwice, Manifest.isRelative(file.path) else {
                throw SluiceError(
                    .unsafeName,
                    object: "\(file.path)",
                    isTwice ? "two files have this path" : "this path does not stay below a directory",
                    remedy: "leave the file out, or give it another name"
                )
            }
        }
    }

    /// Each blob once, with its size.
    var blobs: [BlobKey: ByteCount] {
        Dictionary(files.map { (BlobKey($0.digest), $0.size) }) { first, _ in first }
    }

    private static func isRelative(_ path: ObjectKey) -> Bool {
        path.bytes.count <= 4096 && path.relativeRefusal == nil
    }
}

// MARK: - JSON

extension Manifest {
    static let suffix = ".json"
    /// What every reader of JSON takes for a whole number (RFC 8259 §6).
    static let lastGeneration = (1 << 53) - 1
    /// Room for a million files of 250 bytes.
    static let limit = ByteCount.mebibytes(256)

    private struct Form: Codable {
        let version: Int
        let kind: String
        let name: String
        let revision: String
        let nonce: String
        let files: [FileForm]
    }

    private struct FileForm: Codable {
        /// The path, or its bytes in hexadecimal digits where they are not UTF-8.
        let path: String?
        let pathHex: String?
        let size: UInt64
        let sha256: String
        let alternates: [Alternate]?
        let sources: [String]?
        /// Absent for the first.
        let generation: Int?

        enum CodingKeys: String, CodingKey {
            case path, size, sha256, alternates, sources, generation
            case pathHex = "path_hex"
        }

        init(_ file: File) {
            path = file.path.losslessText
            pathHex = path == nil ? TextEncoding.hex(file.path.bytes) : nil
            size = file.size.bytes
            sha256 = file.digest.hex
            alternates = file.alternates.isEmpty ? nil : file.alternates
            sources = file.sources.isEmpty ? nil : file.sources
            generation = file.generation == 1 ? nil : file.generation
        }

        /// Nil if it is not one that this program writes.
        var file: File? {
            let bytes = path.map { Array($0.utf8) } ?? pathHex.flatMap { TextEncoding.bytes(hex: $0) }
            guard let bytes, (path == nil) != (pathHex == nil), let key = BlobKey(hex: sha256),
                (1...Manifest.lastGeneration).contains(generation ?? 1)
            else { return nil }
            return File(
                path: ObjectKey(bytes: bytes),
                size: ByteCount(size),
                digest: key.digest,
                alternates: alternates ?? [],
                sources: sources ?? [],
                generation: generation ?? 1
            )
        }
    }

    func encoded() throws(SluiceError) -> [UInt8] {
        let bytes = try StoreRecord.encode(
            Form(
                version: StoreRecord.version,
                kind: name.kind,
                name: name.name,
                revision: name.revision,
                nonce: nonce,
                files: files.map(FileForm.init)
            )
        )
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

    /// - Throws: `.badAnswer` for anything that this program would not have written under that name, `.unsupported`
    ///   for a later form.
    static func parse(_ bytes: [UInt8], _ name: RevisionName, _ object: String) throws(SluiceError) -> Manifest {
        let form = try StoreRecord.decode(Form.self, bytes, object)
        try StoreRecord.check(version: form.version, object)
        guard form.kind == name.kind, form.name == name.name, form.revision == name.revision else {
            let found = Printable.text(String("\(form.kind) \(form.name)@\(form.revision)".prefix(200)))
            throw StoreRecord.damaged(object, "it is that of \(found)")
        }
        var files: [File] = []
        for entry in form.files {
            guard let file = entry.file else { throw StoreRecord.damaged(object, "a file's path or digest is none") }
            files.append(file)
        }
        do throws(SluiceError) {
            return try Manifest(name, files, nonce: form.nonce)
        } catch {
            throw StoreRecord.damaged(object, error.message, cause: error.object)
        }
    }
}
