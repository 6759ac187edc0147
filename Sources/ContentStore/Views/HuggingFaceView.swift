import SluiceBytes
import SluicePipeline

/// Lays revisions out as the Hugging Face cache has them, so that `huggingface_hub` and all who use it find them.
///
/// `models--org--name/{blobs/<etag>, snapshots/<commit>/<path> → ../../blobs/<etag>, refs/<branch> = commit}`. A file
/// under `blobs/` is a clone of the store's blob, another name of it, or a copy: what `hf cache rm` removes is only that.
/// The order is blobs, snapshot, ref, each durable before the next. A snapshot is made aside and renamed in whole.
package struct HuggingFaceView {
    /// Where a store has its view, unless somebody asks for another place.
    package static let directoryName = "hub"

    private let cache: HuggingFaceCache
    private let placer: FilePlacer
    private let store: ContentStore

    /// - Parameter cache: what `HF_HUB_CACHE` will name; nil is the store's own `hub`.
    /// - Throws: `.usage` if only symbolic links are allowed: versions of `hf cache rm` remove what they lead to.
    package init(
        _ store: ContentStore,
        cache: LocalPath? = nil,
        _ options: PlacementOptions = PlacementOptions(),
        calls: ViewCalls = ViewCalls(),
        pool: BufferPool
    ) throws(SluiceError) {
        let path = cache ?? store.path.appending(HuggingFaceView.directoryName.utf8)
        var options = options
        options.modes.removeAll { $0 == .symlink }
        guard !options.modes.isEmpty else {
            throw SluiceError(
                .usage,
                object: path.description,
                "a Hugging Face cache must not lead into the store by symbolic links: clearing it could remove blobs",
                remedy: "use --link reflink, hardlink or copy"
            )
        }
        self.store = store
        self.cache = HuggingFaceCache(path, calls: calls)
        placer = FilePlacer(store, options, calls: calls, pool: pool)
    }

    /// Lays out one revision, durably when this returns.
    ///
    /// - Parameters:
    ///   - commit: 40 hexadecimal digits.
    ///   - branches: names that shall point to it: `main`, `refs/pr/1`, a tag.
    ///   - report: hears of each file once; of those that fail too.
    /// - Throws: the first file's error if any cannot be placed: then there is neither snapshot nor branch.
    package func write(
        _ repository: HuggingFaceRepository,
        commit: String,
        branches: [String],
        _ files: [Manifest.File],
        report: (PlacedFile) throws(SluiceError) -> Void = { (_) throws(SluiceError) in }
    ) throws(SluiceError) -> PlacementSummary {
        let branches = try branches.map { (branch) throws(SluiceError) in try SafeName(ObjectKey(branch)) }
        try HuggingFaceView.check(repository, commit)
        try StoreOverlap.make(cache.root, store)
        let place = HuggingFacePlace(repository, commit: commit)
        var summary = PlacementSummary()
        let entries = try placeBlobs(files, place) { (file) throws(SluiceError) in
            summary.add(file)
            try report(file)
        }
        try placer.syncClones()
        try cache.sync([place.repository + [HuggingFacePlace.blobs], place.repository, []])
        let known = Dictionary(files.map { ($0.path, $0) }) { first, _ in first }
        try cache.publish(entries, place, replacing: placer.options.overwrite) {
            (entry, directory) throws(SluiceError) in
            // What `blobs` has under the etag was looked at before.
            guard let file = known[entry.path] else { return }
            _ = try placer.place(file, as: entry.name.base, in: directory)
        }
        for branch in branches { try cache.point(branch, place) }
        return summary
    }

    /// What `write` would do with each file, by what the cache's `blobs` have; it makes nothing.
    package func foresee(
        _ repository: HuggingFaceRepository,
        commit: String,
        _ files: [Manifest.File],
        report: (Manifest.File, Result<Foreseen, SluiceError>) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try HuggingFaceView.check(repository, commit)
        let blobs = HuggingFacePlace(repository, commit: commit).repository + [HuggingFacePlace.blobs]
        var owners: [String: Digest] = [:]
        try Foresight(cache.root, like: placer).look(at: files, tell: report) { (file) throws(SluiceError) in
            _ = try SafeName(file.path)
            let etag = try etag(file, owners)
            owners[etag] = file.digest
            return (blobs, Array(etag.utf8))
        }
    }

    private static func check(_ repository: HuggingFaceRepository, _ commit: String) throws(SluiceError) {
        guard HuggingFaceRepository.isSHA1(commit) else {
            throw SluiceError(
                .unsupported,
                object: Printable.text(String("\(repository.name)@\(commit)".prefix(200))),
                "a Hugging Face cache knows revisions by a commit of 40 hexadecimal digits",
                remedy: "check out a revision that came from the Hub, or leave --hf-cache out"
            )
        }
    }

    // MARK: - Blobs

    private func placeBlobs(
        _ files: [Manifest.File],
        _ place: HuggingFacePlace,
        _ tell: (PlacedFile) throws(SluiceError) -> Void
    ) throws(SluiceError) -> [SnapshotEntry] {
        let path = place.repository + [HuggingFacePlace.blobs]
        let directory = try cache.directory(path)
        var owners: [String: Digest] = [:]
        var entries: [SnapshotEntry] = []
        var first: SluiceError?
        for file in files {
            try placer.checkStopped()
            let outcome: Result<Placement, SluiceError>
            do throws(SluiceError) {
                let name = try SafeName(file.path)
                let etag = try etag(file, owners)
                owners[etag] = file.digest
                outcome = .success(try placer.place(file, as: Array(etag.utf8), in: directory))
                entries.append(SnapshotEntry(path: file.path, name: name, etag: Array(etag.utf8)))
            } catch {
                if error.code == .interrupted { throw error }
                outcome = .failure(error.about("\(file.path)"))
                first = first ?? error
            }
            try tell(PlacedFile(path: file.path, size: file.size, outcome: outcome))
        }
        if var first {
            let count = files.count - entries.count
            first.message += "; no snapshot was made, since \(count) of \(files.count) files failed"
            throw first
        }
        return entries
    }

    /// - Parameter owners: what etags stand for already: a wrong one that another file has gives way to the SHA-256.
    private func etag(_ file: Manifest.File, _ owners: [String: Digest]) throws(SluiceError) -> String {
        let etag: String
        switch HuggingFaceEtag(file) {
        case .known(let known): etag = known
        case .computed:
            let blob = try placer.locate(file)
            let hash = RunningDigest(.gitSHA1, size: blob.status.size)
            let found = try placer.hash(try placer.open(blob), "\(file.path)") { (chunk, _) throws(SluiceError) in
                hash.update(chunk)
            }
            if found != file.digest { throw placer.damaged(blob, found, "\(file.path)") }
            etag = hash.finish().hex
        }
        return owners[etag, default: file.digest] == file.digest ? etag : file.digest.hex
    }
}
