import Glibc
import SluiceBytes
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
        let keys = entries.map { $0.relativeKey.bytes.isEmpty ? base : prefix.appending($0.relativeKey) }
        let client = try await connection.ready()
        do {
            let outcomes = try await client.deleteObjects(bucket: connection.bucket, keys: keys.map(\.s3))
            return outcomes.compactMap { outcome in
                outcome.error.map { SluiceError($0, object: connection.location(outcome.key.objectKey)) }
            }
        } catch {
            throw SluiceError.remote(error, object: "s3://\(connection.bucket)")
        }
    }
}

/// Removes files, one by one; directories stay.
struct FileRemover: ObjectRemover {
    var batch: Int { 256 }

    func remove(_ entries: [SourceEntry]) async throws -> [SluiceError] {
        entries.compactMap { entry in
            guard let path = LocalPath(entry.location) else {
                return SluiceError(.internalFault, object: entry.location, "a listed file has no path")
            }
            let status = (path.bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { bytes in
                bytes.baseAddress.map { unlink($0) } ?? -1
            }
            guard status != 0, errno != ENOENT else { return nil }
            let reason = String(cString: strerror(errno))
            return SluiceError(.fileSystem, object: entry.location, "it cannot be removed: \(reason)")
        }
    }
}
