import SluiceBytes
import SluicePipeline

/// A cache of `huggingface_hub`: every snapshot of every repository becomes a revision, its name the repository's.
///
/// Blobs are hashed anew: their names are only what a server said once. What cannot be told from a snapshot is whether it
/// is all of the revision: a program may have asked for two files of a hundred.
package struct HuggingFaceImport: RevisionImport {
    /// More than any commit has digits.
    private static let refLimit = ByteCount(100)
    /// What file managers leave everywhere; huggingface_hub passes over them as well.
    private static let ignored = [".DS_Store", "Thumbs.db", "desktop.ini"].map { Array($0.utf8) }

    /// What a cache has besides repositories.
    private static let others = ignored + [".locks", "version.txt", "CACHEDIR.TAG"].map { Array($0.utf8) }

    private let cache: LocalPath
    private let only: HuggingFaceRepository?

    /// - Parameters:
    ///   - cache: the directory with `models--…` in it: `HF_HUB_CACHE`, `~/.cache/huggingface/hub`.
    ///   - only: one repository; nil for all.
    package init(_ cache: LocalPath, only: HuggingFaceRepository? = nil) {
        self.cache = cache
        self.only = only
    }

    package func run(
        _ importer: BlobImporter,
        report: @escaping (ImportedFile) throws(SluiceError) -> Void,
        body: @escaping (ImportedRevision) throws(SluiceError) -> Void
    ) throws(SluiceError) -> ImportSummary {
        var run = ImportRun(importer: importer, root: try importer.root(cache), report: report, body: body)
        let names = try run.root.names(in: [])
        let repositories = names.compactMap { HuggingFaceRepository(directory: $0) }
        if repositories.isEmpty, names.contains(where: { !HuggingFaceImport.others.contains($0) }) {
            throw SluiceError(
                .notFound,
                object: cache.description,
                "this is no cache of huggingface_hub: nothing in it is named models--…, datasets--… or spaces--…",
                remedy: "name the directory that holds those: $HF_HUB_CACHE, or ~/.cache/huggingface/hub"
            )
        }
        for repository in repositories where only == nil || only == repository { try bring(repository, &run) }
        return run.summary
    }

    private func bring(_ repository: HuggingFaceRepository, _ run: inout ImportRun) throws(SluiceError) {
        let place = ImportRoot.join(repository.directory, HuggingFacePlace.snapshots)
        let refs: [ImportRoot.Entry]
        let snapshots: [[UInt8]]
        do throws(SluiceError) {
            refs = try self.refs(of: repository, run.root)
            snapshots = try run.root.names(in: place)
        } catch {
            return try run.refuse(repository.directory, error)
        }
        let branches = try branches(refs, below: ImportRoot.join(repository.directory, HuggingFacePlace.refs), &run)
        for name in snapshots where !HuggingFaceImport.ignored.contains(name) {
            try run.importer.checkStopped()
            let snapshot = ImportRoot.join(place, name)
            let commit = String(decoding: name, as: UTF8.self)
            let candidates: [ImportCandidate]
            do throws(SluiceError) {
                candidates = try self.candidates(in: snapshot, commit, of: repository, run.root)
            } catch {
                try run.refuse(snapshot, error)
                continue
            }
            if candidates.isEmpty { continue }
            try run.bring(candidates) { (files) in
                ImportedRevision(
                    kind: repository.kind.manifestKind,
                    name: repository.name,
                    revision: commit,
                    branches: branches[commit] ?? [],
                    files: files
                )
            }
        }
    }

    // MARK: - Branches

    private func refs(
        of repository: HuggingFaceRepository,
        _ root: ImportRoot
    ) throws(SluiceError) -> [ImportRoot.Entry] {
        guard try root.names(in: repository.directory).contains(HuggingFacePlace.refs) else { return [] }
        return try root.files(below: ImportRoot.join(repository.directory, HuggingFacePlace.refs))
    }

    /// The names of each commit. A file that holds none is told of, and stops nothing.
    private func branches(
        _ refs: [ImportRoot.Entry],
        below place: [UInt8],
        _ run: inout ImportRun
    ) throws(SluiceError) -> [String: [String]] {
        var branches: [String: [String]] = [:]
        for entry in refs {
            let name = ObjectKey(bytes: entry.place.dropFirst(place.count + 1))
            do throws(SluiceError) {
                let bytes = try run.root.read(entry.place, limit: HuggingFaceImport.refLimit)
                let commit = String(decoding: bytes, as: UTF8.self)
                guard let branch = name.losslessText, HuggingFaceRepository.isSHA1(commit) else {
                    let found = Printable.text(bytes.prefix(60))
                    throw SluiceError(.badAnswer, "the branch \(name) names no commit of 40 digits but '\(found)'")
                }
                _ = try StoreName(escaping: branch)
                branches[commit, default: []].append(branch)
            } catch {
                let location = run.root.location(entry.place)
                let failure = ImportedFile(
                    location: location,
                    size: ByteCount(0),
                    outcome: .failure(error.about(location))
                )
                try run.tell(failure)
            }
        }
        return branches
    }

    // MARK: - Files

    private func candidates(
        in snapshot: [UInt8],
        _ commit: String,
        of repository: HuggingFaceRepository,
        _ root: ImportRoot
    ) throws(SluiceError) -> [ImportCandidate] {
        guard HuggingFaceRepository.isSHA1(commit) else {
            throw SluiceError(
                .badAnswer,
                object: root.location(snapshot),
                "a snapshot's name is a commit of 40 hexadecimal digits, and this is none",
                remedy: "move it out of the cache"
            )
        }
        var candidates: [ImportCandidate] = []
        for entry in try root.files(below: snapshot) {
            let path = ObjectKey(bytes: entry.place.dropFirst(snapshot.count + 1))
            _ = try SafeName(path)
            var candidate = ImportCandidate(path: path, place: entry.place, followsLinks: true, wantsGitSHA1: true)
            candidate.sources = repository.location(of: path, at: commit).map { [$0] } ?? []
            if entry.kind == .symlink, let etag = try etag(of: entry, path, root) { candidate.claim(etag) }
            candidates.append(candidate)
        }
        return candidates
    }

    /// The name under `blobs/` of its own repository that a link leads to; nil for any other link.
    private func etag(
        of entry: ImportRoot.Entry,
        _ path: ObjectKey,
        _ root: ImportRoot
    ) throws(SluiceError) -> String? {
        let depth = path.bytes.count { $0 == UInt8(ascii: "/") }
        let start = Array((String(repeating: "../", count: depth + 2) + "blobs/").utf8)
        let target = try root.destination(ofLink: entry.place)
        guard target.starts(with: start) else { return nil }
        return ObjectKey(bytes: target.dropFirst(start.count)).losslessText
    }
}

extension HuggingFaceRepository {
    /// Where a file was published; nil for a name that a location cannot tell.
    fileprivate func location(of path: ObjectKey, at commit: String) -> String? {
        guard name.contains("/"), let text = path.losslessText, Printable.text(text) == text,
            !text.contains(where: { "?#%".contains($0) })
        else { return nil }
        let type = kind == .model ? "" : "\(kind.rawValue)s/"
        return "hf://\(type)\(name)@\(commit)/\(text)"
    }
}

extension ImportCandidate {
    /// Takes an ETag for what it is: the SHA-256 of a file in LFS, a Git blob's SHA-1, or something that only its server
    /// understands.
    fileprivate mutating func claim(_ etag: String) {
        if let key = BlobKey(hex: etag) {
            claim = .sha256(key.digest)
            alternates = [Manifest.Alternate(kind: "etag", value: etag)]
            wantsGitSHA1 = false
        } else if HuggingFaceRepository.isSHA1(etag) {
            claim = .gitSHA1(etag)
        } else if etag.utf8.count <= 200, Printable.text(etag) == etag {
            alternates = [Manifest.Alternate(kind: "etag", value: etag)]
        }
    }
}
