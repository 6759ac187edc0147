import SluiceBytes
import SluicePipeline

/// Where things are below a mirror's place.
package enum MirrorKeys {
    /// The mirror's own records: nothing of a revision is put there under its own name.
    package static let records = ObjectKey(".sluice/")

    /// What branches, tags and versions stand for.
    package static let refs = ObjectKey(".sluice/refs/")

    /// Of a manifest, by the SHA-256 of its bytes.
    package static func manifest(_ digest: Digest) -> ObjectKey { ObjectKey(".sluice/manifests/\(digest.hex).json") }

    /// Of what a hub answered, by the SHA-256 of its bytes.
    package static func listing(_ digest: Digest) -> ObjectKey { ObjectKey(".sluice/listings/\(digest.hex).json") }

    /// Of the pointer that a branch, tag or version is; `/` in its name is `%2F`.
    package static func ref(_ name: String) -> ObjectKey { ObjectKey(".sluice/refs/\(escaped(name)).json") }

    /// Of a revision beside others of the same model: `@v1.0`.
    package static func directory(_ revision: String) -> String { "@\(escaped(revision))" }

    /// The place of the mirror, with `/` at its end, that a key below some place is a ref of; nil if it is none, or one of
    /// the place itself.
    package static func root(ofRef key: ObjectKey) -> ObjectKey? {
        let parts = key.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count > 3, key.bytes.suffix(5).elementsEqual(".json".utf8) else { return nil }
        let root = parts.dropLast(3).joined(separator: [UInt8(ascii: "/")]) + [UInt8(ascii: "/")]
        guard key.bytes.dropFirst(root.count).starts(with: refs.bytes) else { return nil }
        return ObjectKey(bytes: Array(root))
    }

    private static func escaped(_ name: String) -> String {
        let bytes = name.utf8.flatMap { byte -> [UInt8] in
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || "-_.".utf8.contains(byte)
            return isPlain ? [byte] : Array("%\(TextEncoding.hex([byte]).uppercased())".utf8)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// In the place of a path that a sink cannot keep: another for each path. The manifest tells which is whose.
    package static func stand(in path: ObjectKey) -> ObjectKey {
        ObjectKey(".sluice/names/\(path.bytes.withUnsafeBytes { SHA256.hash($0) }.hex)")
    }

    /// Where a path goes: itself, or what stands for it.
    ///
    /// - Parameter isKept: whether the sink takes that key.
    package static func plain(_ path: ObjectKey, isKept: (ObjectKey) -> Bool) -> ObjectKey {
        looksLikeRecords(path) || !isKept(path) ? stand(in: path) : path
    }

    /// At whatever depth: a repository must not bring the records of a mirror, its own or that of another model below the
    /// same place. Some file systems do not tell `.SLUICE` from it.
    private static func looksLikeRecords(_ path: ObjectKey) -> Bool {
        path.bytes.split(separator: UInt8(ascii: "/")).contains { component in
            String(decoding: component, as: UTF8.self).lowercased() == ".sluice"
        }
    }
}

/// What a hub answered when it was asked for the files of a revision, as it is kept: its pages, in order.
package enum MirrorListing {
    private struct Form: Codable {
        let format: String
        let version: Int
        let hub: String
        let name: String
        let revision: String
        let pages: [String]
    }

    /// Of its file: room for as many pages as a tree may have.
    package static let limit = ByteCount(SourceTree.mostBytes.bytes / 3 * 4 + frame)
    /// What the file has beside the pages, and their rounding up.
    private static let frame: UInt64 = 1 << 20

    /// - Throws: `.limit` if the file would be longer than one is read again.
    package static func refuseLong(_ tree: SourceTree, limit: ByteCount = MirrorListing.limit) throws(SluiceError) {
        // Quotes and a comma.
        let size = tree.pages.reduce(UInt64(0)) { $0 + (UInt64($1.count) + 2) / 3 * 4 + 3 }
        guard size + frame / 2 <= limit.bytes else {
            throw SluiceError(
                .limit,
                "the record of its listing would have \(size + frame / 2) bytes, and \(limit) can be kept",
                remedy: "copy it, with sluice cp -r"
            )
        }
    }

    /// The bytes of its file; pages are base64 (RFC 4648), so that they stay byte for byte what came.
    package static func encoded(_ tree: SourceTree, of revision: SourceRevision) throws(SluiceError) -> [UInt8] {
        try refuseLong(tree)
        return try MirrorRecord.encode(
            Form(
                format: "sluice-mirror-listing",
                version: 1,
                hub: revision.hub,
                name: revision.name,
                revision: revision.resolved,
                pages: tree.pages.map { TextEncoding.base64($0) }
            )
        )
    }
}
