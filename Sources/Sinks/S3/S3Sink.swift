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

    /// Keys are bytes: nothing is normalised, and only what S3 itself cannot hold is refused.
    public func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        let isBelow = !relativeKey.bytes.isEmpty && !key.bytes.isEmpty && key.bytes.last != UInt8(ascii: "/")
        let key = (isBelow ? key.appending(ObjectKey("/")) : key).appending(relativeKey)
        guard !key.bytes.isEmpty, key.bytes.count <= 1024 else {
            throw SluiceError(
                .unsafeName,
                object: connection.location(key),
                "an S3 key has 1 to 1,024 bytes, this one \(key.bytes.count)",
                remedy: "give it another name"
            )
        }
        return S3Target(connection: connection, key: key, settings: settings)
    }

    /// Aborts unfinished uploads below the location.
    public func cleanUp(
        olderThan: Duration,
        dryRun: Bool,
        isLive: @Sendable ([UInt8]) async -> Bool
    ) async throws -> [String] {
        let (client, uploads) = try await asking(location) { client in
            (client, try await client.listMultipartUploads(bucket: connection.bucket, prefix: key.s3))
        }
        let limit = client.serverNow.epochSeconds - olderThan.components.seconds
        var removed: [String] = []
        for upload in uploads where upload.initiated.map({ $0.epochSeconds <= limit }) ?? true {
            let record = S3SessionRecord(mode: .multipart, token: "", uploadID: upload.uploadID)
            if await isLive(record.encoded) { continue }
            let name = connection.location(upload.key.objectKey)
            if !dryRun {
                try await asking(name) { client in
                    try await client.abortMultipartUpload(
                        bucket: connection.bucket,
                        key: upload.key,
                        uploadID: upload.uploadID
                    )
                }
            }
            removed.append("\(name) (unfinished upload)")
        }
        return removed
    }

    private func asking<R: Sendable>(_ object: String, _ body: (S3Client) async throws -> R) async throws -> R {
        try await connection.retrying.run(host: connection.host, object: object) {
            do {
                return try await body(try await connection.ready())
            } catch {
                throw SluiceError.remote(error, object: object)
            }
        }
    }
}
