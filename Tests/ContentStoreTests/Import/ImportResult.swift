import SluiceBytes
import SluicePipeline
import SluiceTestSupport

@testable import SluiceContentStore

/// What an import did.
struct ImportResult {
    var revisions: [ImportedRevision] = []
    var files: [String: ImportOutcome] = [:]
    var errors: [String: SluiceError] = [:]
    var summary = ImportSummary()
}

extension ViewFixture {
    func bring(
        _ source: some RevisionImport,
        _ modes: [LinkMode] = [.reflink, .copy],
        calls: ViewCalls = ViewCalls()
    ) throws -> ImportResult {
        var options = ImportOptions()
        options.modes = modes
        let importer = try BlobImporter(writer, options, calls: calls, pool: fixture.pool)
        let result = Locked(ImportResult())
        let prefix = directory.path.utf8.count + 1
        let summary = try source.run(importer) { (file) throws(SluiceError) in
            result.withLock { result in
                let name = String(file.location.dropFirst(prefix))
                switch file.outcome {
                case .success(let outcome): result.files[name] = outcome
                case .failure(let error): result.errors[name] = error
                }
            }
        } body: { (revision) throws(SluiceError) in
            let name = try RevisionName(kind: revision.kind, name: revision.name, revision: revision.revision)
            guard try writer.commit(Manifest(name, revision.files), branch: revision.branches.first) == .committed
            else {
                throw SluiceError(.notFound, "blobs are missing")
            }
            result.withLock { $0.revisions.append(revision) }
        }
        return result.withLock { result in
            result.summary = summary
            return result
        }
    }

    /// Makes directories and files.
    func make(_ files: KeyValuePairs<String, String>) throws {
        for (path, text) in files { try directory.write(path, Array(text.utf8)) }
    }

    /// Everything below a directory, with inodes, modes and times: what an import must leave as it is.
    func state(of name: String) throws -> [String: FileStatus] {
        let names = try directory.files().filter { $0.hasPrefix("\(name)/") }
        return Dictionary(uniqueKeysWithValues: try names.map { ($0, try status($0)) })
    }
}
