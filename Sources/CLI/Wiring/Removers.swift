import Glibc
import SluiceBytes
import SluiceContentStore
import SluicePipeline
import SluiceRemote
import SluiceS3

/// Removes objects of a bucket, a batch in one request where the server takes batches.
struct S3Remover: ObjectRemover {
    let connection: S3Connection
    let base: ObjectKey

    var batch: Int { 1000 }

    func remove(_ entries: [SourceEntry]) async throws -> [SluiceError] {
        let prefix = base.bytes.isEmpty || base.bytes.last == UInt8(ascii: "/") ? base : base.appending(ObjectKey("/"))
        var left = entries.map { ($0.relativeKey.bytes.isEmpty ? base : prefix.appending($0.relativeKey)).s3 }
        var final: [SluiceError] = []
        var passing: [SluiceError] = []
        do {
            // What failed for the moment is asked for again; what is gone already stays gone.
            try await connection.retrying.run(host: connection.host, object: connection.location(base)) {
                passing = []
                let failed = try await failures(of: left)
                final += failed.filter { !$0.error.canPass }.map { $0.error }
                left = failed.filter { $0.error.canPass }.map { $0.key }
                passing = failed.filter { $0.error.canPass }.map { $0.error }
                if let first = passing.first { throw first }
            }
        } catch let error as SluiceError where !passing.isEmpty && error.canPass {
            return final + passing
        }
        return final
    }

    private func failures(of keys: [S3Key]) async throws -> [(key: S3Key, error: SluiceError)] {
        do {
            return try await connection.ready().deleteObjects(bucket: connection.bucket, keys: keys).compactMap {
                outcome in
                outcome.error.map {
                    (outcome.key, SluiceError($0, object: connection.location(outcome.key.objectKey)))
                }
            }
        } catch {
            throw SluiceError.remote(error, object: "s3://\(connection.bucket)")
        }
    }
}

extension SluiceError {
    /// Whether the same request may succeed by itself later.
    fileprivate var canPass: Bool {
        switch retry {
        case .backoff, .after, .immediately: true
        case .never, .restart, .park: false
        }
    }
}

/// Removes files, one by one; directories stay.
struct FileRemover: ObjectRemover {
    var batch: Int { 256 }

    func remove(_ entries: [SourceEntry]) async throws -> [SluiceError] {
        entries.compactMap { entry in
            do throws(SluiceError) {
                try FileRemover.remove(entry)
                return nil
            } catch {
                return error
            }
        }
    }

    /// The directory that the user named is his; below it no link is followed, as nothing is written through one.
    private static func remove(_ entry: SourceEntry) throws(SluiceError) {
        guard let path = LocalPath(entry.location) else {
            throw SluiceError(.internalFault, object: entry.location, "a listed file has no path")
        }
        let below = entry.relativeKey.bytes
        let isBelow = !below.isEmpty && path.bytes.count > below.count && path.bytes.suffix(below.count) == below[...]
        let base = isBelow ? LocalPath(Array(path.bytes.dropLast(below.count))) : path.parent
        let names = isBelow ? below.split(separator: UInt8(ascii: "/")).map(Array.init) : [path.baseName]
        guard let name = names.last else {
            throw SluiceError(.internalFault, object: entry.location, "a listed file has no directory")
        }
        let root = DirectoryRoot(base) { (_) throws(SystemFailure) in }
        guard let directory = try root.directory(names.dropLast(), creating: false) else { return }
        do {
            try directory.unlink(name)
        } catch {
            if error.number == ENOENT { return }
            throw SluiceError(.fileSystem, object: entry.location, "it cannot be removed: \(error.reason)")
        }
    }
}

/// Takes files out of trees; their blobs stay until a collection finds nobody else needs them.
struct StoreRemover: ObjectRemover {
    let stores: OpenStores

    /// Each call writes a manifest of what is left.
    var batch: Int { 100_000 }

    func remove(_ entries: [SourceEntry]) async throws -> [SluiceError] {
        var shares: [LocalPath: StoreShare] = [:]
        var trees: [LocalPath: [RevisionName: Set<ObjectKey>]] = [:]
        for entry in entries {
            guard let path = try CopyOptions.location(entry.location).localPath else { continue }
            let place = try stores.locate(path)
            guard let tree = place.tree else { continue }
            let root = place.share.store.path
            shares[root] = place.share
            trees[root, default: [:]][try tree.revisionToRead(in: place.share.store), default: []].insert(tree.path)
        }
        for (root, names) in trees {
            for (name, paths) in names {
                _ = try shares[root]?.writer().remove(from: name) { paths.contains($0.path) }
            }
        }
        return []
    }
}
