import SluiceBytes
import SluicePipeline

/// Where files of a revision are in a cache of `huggingface_hub`, below the directory of their repository.
///
/// See: https://huggingface.co/docs/hub/local-cache
package enum HubCacheLayout {
    /// What the cache calls a file's bytes by: the SHA-256 of those in Git LFS, git's name of the blob of all others.
    ///
    /// - Throws: `.unsupported` if the hub published neither.
    package static func tag(_ file: SourceTree.File) throws(SluiceError) -> Digest {
        if let tag = file.published.first(where: { $0.algorithm == .sha256 }) ?? file.object { return tag }
        throw SluiceError(
            .unsupported,
            object: file.location,
            "a cache of huggingface_hub names files by digests, and none is published of \(file.path)",
            remedy: "mirror it with --layout plain"
        )
    }

    /// Where a file's bytes are: the same for all files that have them.
    ///
    /// - Throws: `.unsafeName` for a path that cannot be a link below a snapshot.
    package static func key(_ file: SourceTree.File) throws(SluiceError) -> ObjectKey {
        do throws(SluiceError) {
            _ = try SafeName(file.path)
        } catch {
            throw SluiceError(
                .unsafeName,
                object: file.location,
                "a cache of huggingface_hub cannot keep this file: \(error.message)",
                remedy: "leave it out with --exclude, or mirror with --layout plain, which gives it another name"
            )
        }
        return ObjectKey("blobs/\(try tag(file).hex)")
    }

    /// The bytes of `trees/COMMIT.json`, by which huggingface_hub tells whether a snapshot is whole; nil where the hub
    /// did not tell all of it. Xet's addresses are left out: who follows one asks another server.
    package static func tree(_ tree: SourceTree) throws(SluiceError) -> [UInt8]? {
        guard tree.refused.isEmpty else { return nil }
        var files: [(path: ObjectKey, file: TreeFile)] = []
        for file in tree.files {
            guard let object = file.object, file.path.losslessText != nil else { return nil }
            let large = file.published.first { $0.algorithm == .sha256 }
            let entry = TreeFile(
                size: file.size,
                object: object.hex,
                sha256: large?.hex,
                length: large == nil ? nil : file.size
            )
            files.append((file.path, entry))
        }
        return try text(of: files.sorted { $0.path < $1.path })
    }

    /// Member by member: to a dictionary of strings, and so to the encoder, names that are one letter in two spellings
    /// (é as one code point or two) are the same.
    private static func text(of files: [(path: ObjectKey, file: TreeFile)]) throws(SluiceError) -> [UInt8] {
        var text = Array(#"{"files":{"#.utf8)
        for (path, file) in files {
            if text.last == UInt8(ascii: "}") { text.append(UInt8(ascii: ",")) }
            text += try MirrorRecord.encode(path.text).dropLast() + [UInt8(ascii: ":")]
            text += try MirrorRecord.encode(file).dropLast()
        }
        return text + Array("},\"format_version\":1}\n".utf8)
    }

    private struct TreeFile: Encodable {
        let size: UInt64
        let object: String
        let sha256: String?
        let length: UInt64?

        enum CodingKeys: String, CodingKey {
            case size
            case object = "blob_id"
            case sha256 = "lfs_sha256"
            case length = "lfs_size"
        }
    }
}
