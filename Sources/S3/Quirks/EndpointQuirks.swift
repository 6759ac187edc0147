import SluiceBytes

/// What one kind of S3 server can and cannot do, as data: the planner, the client and the tests read it.
///
/// Saved per endpoint (it is Codable), overridden by the configuration, and measured by `sluice doctor` one day.
package struct EndpointQuirks: Sendable, Hashable, Codable {
    /// For people and for rows in the state store.
    package var name: String
    /// Buckets are named in the path, not in the host.
    package var usesPathStyle: Bool
    /// Ask for `encoding-type=url` in listings.
    package var listEncoding = true
    /// Common prefixes come encoded too. Ceph leaves them as they are (tracker 41870).
    package var encodesCommonPrefixes = true
    /// All parts but the last must have one size.
    package var equalParts = true
    package var maxParts = 10_000
    /// Bytes; the last part may be smaller.
    package var minPartSize: UInt64 = 5 << 20
    /// Bytes; the limit of a single PUT and a single copy, too.
    package var maxPartSize: UInt64 = 5 << 30
    /// `x-amz-checksum-*` headers that the server verifies, best first.
    package var headerChecksums: [DigestAlgorithm] = []
    /// Where `headerChecksums` is empty: whether a server that answers a CRC32C with the same CRC32C is taken at its
    /// word. Otherwise every body is vouched for by `Content-MD5`, which costs twice as much as SHA-256 does.
    package var learnsChecksums = true
    /// aws-chunked bodies with a trailing checksum are stored without their framing.
    package var trailers = false
    package var tagging = false
    /// `If-None-Match: *` and `If-Match` on PUT.
    package var conditionalWrites = false
    /// The same on CompleteMultipartUpload.
    package var conditionalComplete = false
    /// CopyObject.
    package var copy = true
    /// UploadPartCopy.
    package var multipartCopy = false
    /// Keys in one DeleteObjects; 0: only single DELETEs.
    package var deleteBatchLimit = 1000
    /// `UNSIGNED-PAYLOAD` over TLS.
    package var unsignedPayload = true
    /// `UNSIGNED-PAYLOAD` without TLS.
    package var unsignedPayloadOnHTTP = false
    /// A multipart ETag is the MD5 of the part MD5s, `-N` after it.
    package var multipartETagIsMD5 = false
    /// `x-amz-meta-*` given at CreateMultipartUpload is at the finished object.
    package var keepsMultipartMetadata = true
    /// `x-amz-checksum-type: FULL_OBJECT` and `x-amz-mp-object-size` on multipart uploads.
    package var fullObjectCRC = false

    package init(name: String, usesPathStyle: Bool = true) {
        self.name = name
        self.usesPathStyle = usesPathStyle
    }
}
