/// One object of a listing.
package struct S3ListedObject: Sendable, Hashable {
    package let key: S3Key
    package let size: UInt64
    /// With its quotes; nil where the server leaves it out.
    package let etag: String?
    package let lastModified: Timestamp?
    package let storageClass: String?
}

/// One page of ListObjectsV2.
package struct ListObjectsPage: Sendable {
    package let objects: [S3ListedObject]
    package let commonPrefixes: [S3Key]
    package let isTruncated: Bool
    /// Opaque: never url-decoded.
    package let nextToken: String?

    /// Reads `<ListBucketResult>`. Keys are url-decoded only if the answer echoes the encoding.
    package init(_ root: XMLElement, decodesCommonPrefixes: Bool = true) throws {
        let isEncoded = root.text(of: "EncodingType")?.lowercased() == "url"
        isTruncated = root.isTrue("IsTruncated")
        nextToken = root.text(of: "NextContinuationToken")
        objects = try root.all("Contents").map { element in
            guard let key = element["Key"]?.bytes, !key.isEmpty else { throw XMLFailure.invalid("an entry has no Key") }
            guard let size = element.number(of: "Size") else {
                throw XMLFailure.invalid("\(S3Key(bytes: key)) has no Size that fits 64 bits")
            }
            return S3ListedObject(
                key: try ListObjectsPage.key(key, isEncoded: isEncoded),
                size: size,
                etag: element.etag,
                lastModified: element.text(of: "LastModified").flatMap { Timestamp(iso8601: $0) },
                storageClass: element.text(of: "StorageClass")
            )
        }
        commonPrefixes = try root.all("CommonPrefixes").compactMap { element in
            try element["Prefix"].map {
                try ListObjectsPage.key($0.bytes, isEncoded: isEncoded && decodesCommonPrefixes)
            }
        }
    }

    /// Undoes `encoding-type=url`: percent escapes, and `+` for a space.
    static func key(_ bytes: [UInt8], isEncoded: Bool) throws -> S3Key {
        guard isEncoded else { return S3Key(bytes: bytes) }
        guard let decoded = URLDecoding.bytes(bytes) else {
            throw XMLFailure.invalid("the key \(S3Key(bytes: bytes)) is not url-encoded as the answer says")
        }
        return S3Key(bytes: decoded)
    }
}
