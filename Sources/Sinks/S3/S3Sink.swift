import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3

/// How objects are written to a bucket.
package struct S3WriteSettings: Sendable {
    /// Storage class, encryption, the user's own metadata, tags and content headers.
    package var properties = S3Properties()

    package init() {}
}

/// A bucket, a prefix in it, or the place of one object.
public struct S3Sink: Sink {
    private let connection: S3Connection
    private let key: ObjectKey
    private let settings: S3WriteSettings

    package init(connection: S3Connection, key: ObjectKey, settings: S3WriteSettings = S3WriteSettings()) {
        self.connection = connection
        self.key = key
        self.settings = settings
    }

    /// `s3://bucket/key`.
    public var location: String { connection.location(key) }

    /// A bucket, or a key that ends in a slash.
    public func isContainer() async throws -> Bool { key.bytes.isEmpty || key.bytes.last == UInt8(ascii: "/") }

    /// Keys are bytes: nothing is normalised, and only what S3 itself does not define is refused.
    public func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        let isBelow = !relativeKey.bytes.isEmpty && !key.bytes.isEmpty && key.bytes.last != UInt8(ascii: "/")
        let key = (isBelow ? key.appending(ObjectKey("/")) : key).appending(relativeKey)
        let objection: String? =
            !(1...1024).contains(key.bytes.count)
            ? "an S3 key has 1 to 1,024 bytes, this one \(key.bytes.count)"
            : key.losslessText == nil ? "an S3 key is UTF-8, \(key) is not" : nil
        if let objection {
            let location = connection.location(key)
            throw SluiceError(.unsafeName, object: location, objection, remedy: "give it another name")
        }
        return S3Target(connection: connection, key: key, settings: settings)
    }

    /// Aborts unfinished uploads below the location. A listing of uploads tells nothing of who made them, so they are
    /// recognised by the state store: by their id, or, where that was lost, by their key and the time they began.
    public func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport {
        let (client, uploads) = try await connection.asking(location) { [connection, key] client in
            (client, try await client.listMultipartUploads(bucket: connection.bucket, prefix: key.s3))
        }
        var report = CleanUpReport()
        for upload in uploads {
            let age = upload.initiated.map { Duration.seconds(client.serverNow.epochSeconds - $0.epochSeconds) }
            guard age ?? olderThan >= olderThan else { continue }
            let record = S3SessionRecord(mode: .multipart, token: "", uploadID: upload.uploadID)
            if try await known.isLive(record.encoded) { continue }
            let name = connection.location(upload.key.objectKey)
            guard try await known.isOurs(name, age) else {
                report.foreign += 1
                continue
            }
            do {
                if !dryRun { try await abort(upload, name) }
                report.removed.append("\(name) (unfinished upload)")
            } catch let failure as SluiceError {
                report.failures.append(failure)
            }
        }
        return report
    }

    private func abort(_ upload: S3UnfinishedUpload, _ name: String) async throws {
        CrashPoint.step()
        try await connection.asking(name) { [connection] client in
            try await client.abortMultipartUpload(
                bucket: connection.bucket,
                key: upload.key,
                uploadID: upload.uploadID
            )
        }
        CrashPoint.step()
    }
}
