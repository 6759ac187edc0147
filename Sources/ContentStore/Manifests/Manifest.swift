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
