import SluiceBytes
import SluicePipeline
import SluiceS3
import Synchronization

/// One bucket as one account sees it: the client, with what its endpoint can do once that is known.
///
/// Shared by all objects of the bucket, so that the endpoint is recognised once.
package final class S3Connection: Sendable {
    package let bucket: String
    /// Endpoint and credentials by name: two connections with one account can copy between each other at the server.
    package let account: String
    /// What objects of the bucket are read with that were encrypted with a customer's key.
    package let customerKey: S3CustomerKey?
    /// For requests that no transfer makes: planning, listing, removing.
    package let retrying: Retrying
    private let client: S3Client
    private let recognised = Mutex<S3Client?>(nil)

    package init(
        client: S3Client,
        bucket: String,
        account: String,
        customerKey: S3CustomerKey? = nil,
        retrying: Retrying
    ) {
        self.client = client
        self.customerKey = customerKey
        self.bucket = bucket
        self.account = account
        self.retrying = retrying
    }

    /// Back-off and admission are shared by bucket.
    package var host: String { "s3://\(client.endpoint.host)/\(bucket)" }

    /// Exact: it is parsed again by whoever opens the object. What shows it makes it printable.
    package func location(_ key: ObjectKey) -> String { "s3://\(bucket)/\(key.text)" }

    /// The object's URL in path style, whichever style is spoken: the same for every account.
    package func place(_ key: ObjectKey) -> String {
        client.endpoint.text(region: client.region(of: bucket)) + "/\(bucket)/\(key.s3.encodedPath)"
    }

    /// The client with the quirks that fit what the server calls itself.
    ///
    /// - Throws: `SluiceError` where the bucket is missing or out of reach. A bucket that may be used but not looked at
    ///   (403) is taken for the kind that its host's name says.
    package func ready() async throws -> S3Client {
        if let known = recognised.withLock({ $0 }) { return known }
        let ready: S3Client
        do {
            ready = client.recognised(from: try await client.headBucket(bucket))
        } catch let error as S3Error where error.kind == .accessDenied {
            ready = client
        } catch {
            throw SluiceError.remote(error, object: "s3://\(bucket)")
        }
        return recognised.withLock { recognised in
            recognised = recognised ?? ready
            return recognised ?? ready
        }
    }

    /// A request that no transfer makes, again as the retry table allows; its errors are about `object`.
    package func asking<R: Sendable>(
        _ object: String,
        _ body: @Sendable (S3Client) async throws -> R
    ) async throws -> R {
        try await retrying.run(host: host, object: object) {
            do {
                return try await body(try await ready())
            } catch {
                throw SluiceError.remote(error, object: object)
            }
        }
    }
}

/// An object whose bytes an S3 server holds: what a copy within that server needs to know of its source.
package protocol S3Located: Sendable {
    var connection: S3Connection { get }
    var key: ObjectKey { get }
}

extension ObjectKey {
    /// The key as the S3 module holds it.
    package var s3: S3Key { S3Key(bytes: bytes) }
}

extension S3Key {
    /// The key as the pipeline holds it.
    package var objectKey: ObjectKey { ObjectKey(bytes: bytes) }
}

extension S3ObjectInfo {
    /// The version as the pipeline pins it.
    package var pin: Pin {
        guard let etag else { return .weak(size: size, modified: nil) }
        return versionID.map { .version($0, etag: etag) } ?? .etag(etag, size: size)
    }

    /// Changes when the object does.
    package var fingerprint: String { "\(etag ?? "?") \(versionID ?? "")" }
}
