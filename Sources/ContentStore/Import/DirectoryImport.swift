import SluiceBytes
import SluicePipeline

/// A directory tree as one revision. Symbolic links, pipes and the like are told of and left out.
package struct DirectoryImport: RevisionImport {
    private let directory: LocalPath
    private let kind: String
    private let name: String
    private let revision: String?
    private let branches: [String]

    /// - Parameter revision: nil makes it the SHA-256 of the listing, so that the same tree is the same revision.
    /// - Throws: `.unsafeName` if the store cannot keep one of the names.
    package init(
        _ directory: LocalPath,
        kind: String,
        name: String,
        revision: String? = nil,
        branches: [String] = []
    ) throws(SluiceError) {
        for text in [kind, name] + branches + (revision.map { [$0] } ?? []) { _ = try StoreName(escaping: text) }
        self.directory = directory
        self.kind = kind
        self.name = name
        self.revision = revision
        self.branches = branches
    }

    package func run(
        _ importer: BlobImporter,
        report: @escaping (ImportedFile) throws(SluiceError) -> Void,
        body: @escaping (ImportedRevision) throws(SluiceError) -> Void
    ) throws(SluiceError) -> ImportSummary {
        var run = ImportRun(importer: importer, root: try importer.root(directory), report: report, body: body)
        var candidates: [ImportCandidate] = []
        for entry in try run.root.files(below: []) {
            guard entry.kind == .regular else {
                let outcome = ImportOutcome.skipped(entry.kind.rawValue)
                let location = run.root.location(entry.place)
                try run.tell(ImportedFile(location: location, size: ByteCount(0), outcome: .success(outcome)))
                continue
            }
            let path = ObjectKey(bytes: entry.place)
            do throws(SluiceError) {
                _ = try SafeName(path)
                var candidate = ImportCandidate(path: path, place: entry.place)
                candidate.sources = run.root.source(entry.place).map { [$0] } ?? []
                candidates.append(candidate)
            } catch {
                // Without this file it would be another tree.
                try run.refuse(entry.place, error)
                return run.summary
            }
        }
        try run.bring(candidates) { (files) in
            ImportedRevision(
                kind: kind,
                name: name,
                revision: revision ?? DirectoryImport.digest(of: files).hex,
                branches: branches,
                files: files
            )
        }
        return run.summary
    }

    /// Of `SHA-256, size, path, NUL` of each file, in the order of the paths.
    static func digest(of files: [Manifest.File]) -> Digest {
        var hash = SHA256()
        for file in files.sorted(by: { $0.path < $1.path }) {
            let line = Array("\(file.digest.hex) \(file.size.bytes) ".utf8) + file.path.bytes + [0]
            line.withUnsafeBytes { hash.update($0) }
        }
        return hash.finalized()
    }
}
