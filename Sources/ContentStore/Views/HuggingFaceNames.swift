import SluiceBytes
import SluicePipeline

/// The kinds of repositories that the Hugging Face cache has.
package enum HuggingFaceKind: String, Sendable, Hashable, CaseIterable {
    case model
    case dataset
    case space

    /// What its directory's name starts with.
    var prefix: String { "\(rawValue)s--" }

    /// The kind of its manifests.
    package var manifestKind: String { self == .model ? "hf" : "hf-\(rawValue)" }

    /// Nil for manifests of other things.
    package init?(manifestKind: String) {
        guard let kind = Self.allCases.first(where: { $0.manifestKind == manifestKind }) else { return nil }
        self = kind
    }
}

/// A repository of the Hub, and its place in a cache.
///
/// See: https://huggingface.co/docs/hub/local-cache
package struct HuggingFaceRepository: Sendable, Hashable {
    package let kind: HuggingFaceKind
    /// `org/name`, or a name alone.
    package let name: String

    /// - Throws: `.unsafeName` for a name that the Hub does not give, or that its cache cannot tell from another.
    package init(_ kind: HuggingFaceKind, _ name: String) throws(SluiceError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), name.utf8.count <= 96, parts.allSatisfy(Self.isName),
            !name.contains("--"), !name.contains("..")
        else {
            throw SluiceError(
                .unsafeName,
                object: Printable.text(String(name.prefix(100))),
                "this is no name of a repository of the Hugging Face Hub",
                remedy: "a name is ORG/NAME of letters, digits, '-', '_' and '.', without '--' and '..'"
            )
        }
        self.kind = kind
        self.name = name
    }

    /// From the name of its directory in a cache; nil if it is none.
    init?(directory: [UInt8]) {
        let kinds = HuggingFaceKind.allCases
        guard let kind = kinds.first(where: { directory.starts(with: $0.prefix.utf8) }) else { return nil }
        let hyphen = UInt8(ascii: "-")
        var rest = directory.dropFirst(kind.prefix.utf8.count)
        var name: [UInt8] = []
        while let byte = rest.popFirst() {
            if byte == hyphen, rest.first == hyphen {
                rest.removeFirst()
                name.append(UInt8(ascii: "/"))
            } else {
                name.append(byte)
            }
        }
        guard let text = ObjectKey(bytes: name).losslessText,
            let repository = try? HuggingFaceRepository(kind, text)
        else { return nil }
        self = repository
    }

    /// `models--org--name`.
    package var directory: [UInt8] {
        Array(kind.prefix.utf8) + name.split(separator: "/").joined(separator: "--").utf8
    }

    /// Whether a text is 40 digits of a commit or a Git blob.
    static func isSHA1(_ text: String) -> Bool { isHex(text, 40) }

    /// Whether a text is lower-case hexadecimal digits, `count` of them.
    static func isHex(_ text: String, _ count: Int) -> Bool {
        text.utf8.count == count
            && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    private static func isName(_ part: Substring) -> Bool {
        let isEdge: (UInt8?) -> Bool = { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }
        return !part.isEmpty && !isEdge(part.utf8.first) && !isEdge(part.utf8.last)
            && part.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || [UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: ".")].contains(byte)
            }
    }
}

/// What the cache calls a file's bytes by: the Hub's ETag. That is the SHA-256 of files in LFS or Xet, and the Git blob's
/// SHA-1 of all others.
enum HuggingFaceEtag: Hashable {
    case known(String)
    /// The Git blob's SHA-1, which nobody has told.
    case computed

    /// The Hub takes larger files through LFS only.
    static let largestInGit = ByteCount.mebibytes(10)

    init(_ file: Manifest.File) {
        func values(_ kind: String) -> [String] { file.alternates.filter { $0.kind == kind }.map(\.value) }
        let isLFS = values("etag").contains(file.digest.hex) || file.alternates.contains { $0.kind.hasPrefix("xet") }
        if !isLFS, let sha1 = (values("git-sha1") + values("etag")).first(where: HuggingFaceRepository.isSHA1) {
            self = .known(sha1)
        } else {
            let isLarge = file.size.bytes > HuggingFaceEtag.largestInGit.bytes
            self = isLFS || isLarge ? .known(file.digest.hex) : .computed
        }
    }
}
