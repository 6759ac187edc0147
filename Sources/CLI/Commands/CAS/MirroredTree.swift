import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// The files of a store's tree as the hub has them: of a mirror without its own records, under their own paths, with the
/// names that the hub has for their bytes.
struct MirroredTree {
    private(set) var files: [Manifest.File]
    /// What stands for the revision in the mirror's refs: `main`, a tag.
    private(set) var branches: [String] = []
    private let store: ContentStore

    init(_ tree: Tree, _ store: ContentStore) throws {
        self.store = store
        files = tree.files.filter { !$0.path.hasPrefix(MirrorKeys.records) }
        if files.count == tree.files.count { return }
        var newest: MirrorRef.Entry?
        for file in tree.files where file.path.hasPrefix(MirrorKeys.refs) {
            let ref = try MirrorRef(bytes(of: file, limit: MirrorRef.limit), "\(tree.name) \(file.path)")
            guard ref.current.revision == tree.name.revision else { continue }
            if newest.map({ $0.since < ref.current.since }) ?? true { newest = ref.current }
            if ref.name != tree.name.revision { branches.append(ref.name) }
        }
        guard let newest, let record = tree.file(MirrorKeys.manifest(newest.manifest)) else { return }
        let manifest = try MirrorManifest(
            bytes(of: record, limit: MirrorManifest.limit),
            "\(tree.name) \(record.path)"
        )
        let known = Dictionary(manifest.files.map { ($0.place, $0) }) { first, _ in first }
        files = tree.files.compactMap { file in
            if let mirrored = known[file.path] { return MirroredTree.named(file, as: mirrored) }
            return file.path.hasPrefix(MirrorKeys.records) ? nil : file
        }
    }

    private func bytes(of file: Manifest.File, limit: ByteCount) throws -> [UInt8] {
        guard file.size.bytes <= limit.bytes, let blob = try store.open(file.digest) else {
            throw SluiceError(
                .notFound,
                object: "\(file.path)",
                "the blob of the mirror's record is missing, or longer than any such record",
                remedy: "see what is wrong with sluice cas verify"
            )
        }
        var bytes = [UInt8](repeating: 0, count: Int(file.size.bytes))
        let outcome = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(SystemFailure) in try blob.file.read(into: buffer, at: 0) }
        }
        do throws(SystemFailure) {
            bytes = Array(bytes.prefix(try outcome.get()))
        } catch {
            throw SluiceError(error, "read the mirror's record", object: "\(file.path)")
        }
        let found = bytes.withUnsafeBytes { SHA256.hash($0) }
        guard found == file.digest else {
            throw SluiceError(
                .digestMismatch,
                object: "\(file.path)",
                "the blob has \(found), and its name says \(file.digest)",
                remedy: "mend it with sluice verify --repair, or sluice cas repair"
            )
        }
        return bytes
    }

    /// By what the hub calls the bytes a cache names its blob: the SHA-256 of those in Git LFS, git's name of all others.
    private static func named(_ file: Manifest.File, as mirrored: MirrorManifest.File) -> Manifest.File {
        var alternates = file.alternates
        if file.digest == mirrored.sha256 {
            let isLarge = mirrored.evidence.contains(.sha256) || mirrored.evidence.contains(.gitPointer)
            let name = isLarge ? mirrored.sha256.hex : mirrored.object?.hex
            if let name { alternates.append(Manifest.Alternate(kind: isLarge ? "etag" : "git-sha1", value: name)) }
        }
        return Manifest.File(
            path: mirrored.path,
            size: file.size,
            digest: file.digest,
            alternates: alternates,
            sources: file.sources,
            generation: file.generation
        )
    }
}
