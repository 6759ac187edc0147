import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// The layout `hf-cache` at one place: what of it is no file of the queue's.
struct MirrorCache: Sendable {
    let repository: HuggingFaceRepository
    private let cache: HuggingFaceCache
    private let commit: String
    /// What names the commit; nil where the commit was asked for by itself.
    private let branch: String?

    /// - Throws: `.usage` if the revision is none of the hub that the cache is of.
    init(_ directory: LocalPath, _ revision: SourceRevision) throws(SluiceError) {
        guard revision.hub == "hugging-face",
            let kind = HuggingFaceKind.allCases.first(where: { "\($0.rawValue)s" == revision.kind })
        else {
            throw SluiceError(
                .usage,
                object: revision.name,
                "a cache of huggingface_hub holds what comes from Hugging Face, and this is of \(revision.hub)",
                remedy: "leave --layout hf-cache out"
            )
        }
        repository = try HuggingFaceRepository(kind, revision.name)
        try HuggingFaceSnapshot.refuseLink(directory.appending(repository.directory))
        cache = HuggingFaceCache(directory)
        commit = revision.resolved
        branch = revision.requested == revision.resolved ? nil : revision.requested
    }

    /// Whether the revision can be read, by the name that it was asked for.
    var isThere: Bool { cache.has(repository, commit: commit, branch: branch) }

    /// Whether a revision was not cleared since it was mirrored.
    func has(_ commit: String) -> Bool { cache.has(repository, commit: commit, branch: nil) }

    /// The last step before the manifest: snapshot, list of files, branch.
    func publish(_ files: [MirrorManifest.File], _ tree: SourceTree, replacing: Bool) throws(SluiceError) {
        try cache.write(
            repository,
            commit: commit,
            branch: branch,
            files.map(\.cached),
            tree: try HubCacheLayout.tree(tree),
            replacing: replacing
        )
    }
}

extension MirrorManifest.File {
    /// The file as the cache has it.
    var cached: HuggingFaceCache.File {
        HuggingFaceCache.File(path: path, size: size, etag: place.lastComponent.text, sha256: sha256)
    }
}
