import SluiceBytes
import SluiceTransport

/// How the bytes of a body are vouched for in the signature.
package enum PayloadPolicy: String, Sendable, Codable, CaseIterable {
    /// Unsigned over TLS where the endpoint allows it, signed otherwise.
    case automatic
    case signed
    case unsigned
    /// aws-chunked, each chunk signed.
    case chunkSigned
    /// aws-chunked, chunks and a trailing checksum signed.
    case chunkSignedTrailer
    /// aws-chunked, unsigned, a trailing checksum.
    case unsignedTrailer
}

/// The bytes of an object or a part, and what is known about them. A retry sends the same bytes and checksums: what
/// was computed once is not computed again from memory that may have changed.
package struct S3Body: Sendable {
    package var chunks: [Chunk]
    /// Sent in `x-amz-checksum-*` (or `Content-MD5`), or in the trailer.
    package var checksum: S3Checksum?
    /// Sent in `Content-MD5` beside `checksum`, while it is not known whether the server looks at that.
    package var md5: S3Checksum?
    /// SHA-256 in hexadecimal, if it is known; computed where a signed payload needs it.
    package var sha256: String?

    package init(_ chunks: [Chunk], checksum: S3Checksum? = nil, md5: S3Checksum? = nil, sha256: String? = nil) {
        self.chunks = chunks
        self.checksum = checksum
        self.md5 = md5
        self.sha256 = sha256
    }

    package var count: UInt64 { chunks.reduce(0) { $0 + UInt64($1.count) } }
}

/// What the pipeline wants to see and to hold of a request's bytes.
package struct S3TransferHooks: Sendable {
    package var window = 2
    package var downloadGate: (any FlowGate)?
    package var uploadGate: (any FlowGate)?
    package var onSent: (@Sendable (Int) -> Void)?
    package var onReceived: (@Sendable (Int) -> Void)?
    package var idleTimeout: Duration = .seconds(30)

    package init() {}

    func apply(to request: inout HTTPRequest) {
        request.window = window
        request.downloadGate = downloadGate
        request.uploadGate = uploadGate
        request.onSent = onSent
        request.onReceived = onReceived
        request.idleTimeout = idleTimeout
    }
}

/// One request before it is addressed and signed; every attempt is built from it anew.
struct S3Call: Sendable {
    enum Body: Sendable {
        case none
        /// Small, always signed by its hash.
        case document([UInt8])
        case object(S3Body)
    }

    var method: String
    var bucket: String?
    var key: S3Key?
    var query = S3Query()
    var headers = HTTPHeaders()
    var body = Body.none
    /// Whether the same request may be sent again when a kept-alive connection turned out to be closed.
    var isIdempotent = true
    var hooks = S3TransferHooks()
    var bodyLimit: UInt64?

    init(_ method: String, bucket: String?, key: S3Key? = nil, query: S3Query = S3Query()) {
        self.method = method
        self.bucket = bucket
        self.key = key
        self.query = query
    }

    /// `s3://bucket/key`, for errors.
    var resource: String { "s3://\(bucket ?? "")" + (key.map { "/\($0)" } ?? "") }
}
