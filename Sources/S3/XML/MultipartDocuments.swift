import SluiceBytes

/// One part that the server holds.
package struct S3ListedPart: Sendable, Hashable {
    package let number: Int
    package let size: UInt64
    package let etag: String
    package let checksums: [Digest]
    package let lastModified: Timestamp?
}

/// One page of ListParts.
package struct ListPartsPage: Sendable {
    package let parts: [S3ListedPart]
    package let isTruncated: Bool
    package let nextMarker: UInt64?

    package init(_ root: XMLElement) throws {
        isTruncated = root.isTrue("IsTruncated")
        nextMarker = root.number(of: "NextPartNumberMarker")
        parts = try root.all("Part").map { element in
            guard let number = element.number(of: "PartNumber"), (1...10_000).contains(number),
                let size = element.number(of: "Size"), let etag = element.etag
            else { throw XMLFailure.invalid("a part has no number, size or ETag") }
            return S3ListedPart(
                number: Int(number),
                size: size,
                etag: etag,
                checksums: S3Checksum.digests(in: element),
                lastModified: element.text(of: "LastModified").flatMap { Timestamp(iso8601: $0) }
            )
        }
    }
}

/// An upload that was begun and neither completed nor aborted.
package struct S3UnfinishedUpload: Sendable, Hashable {
    package let key: S3Key
    package let uploadID: String
    package let initiated: Timestamp?
}

/// One page of ListMultipartUploads.
package struct MultipartUploadsPage: Sendable {
    package let uploads: [S3UnfinishedUpload]
    package let isTruncated: Bool
    package let nextKeyMarker: S3Key?
    package let nextUploadIDMarker: String?

    package init(_ root: XMLElement) throws {
        let isEncoded = root.text(of: "EncodingType")?.lowercased() == "url"
        isTruncated = root.isTrue("IsTruncated")
        nextKeyMarker = try root["NextKeyMarker"].flatMap {
            $0.bytes.isEmpty ? nil : try ListObjectsPage.key($0.bytes, isEncoded: isEncoded)
        }
        nextUploadIDMarker = root.text(of: "NextUploadIdMarker")
        uploads = try root.all("Upload").map { element in
            guard let key = element["Key"]?.bytes, let id = element.text(of: "UploadId") else {
                throw XMLFailure.invalid("an upload has no Key or UploadId")
            }
            return S3UnfinishedUpload(
                key: try ListObjectsPage.key(key, isEncoded: isEncoded),
                uploadID: id,
                initiated: element.text(of: "Initiated").flatMap { Timestamp(iso8601: $0) }
            )
        }
    }
}

/// What a part's receipt holds, enough to complete the upload in another process.
package struct S3CompletedPart: Sendable, Hashable, Codable {
    package let number: Int
    package let etag: String
    /// The checksum that was sent with the part: its algorithm and base64, or nil.
    package let checksum: S3Checksum?

    package init(number: Int, etag: String, checksum: S3Checksum? = nil) {
        self.number = number
        self.etag = etag
        self.checksum = checksum
    }
}

extension XMLWriter {
    /// The body of CompleteMultipartUpload: parts in ascending order.
    package static func completeMultipartUpload(_ parts: [S3CompletedPart]) throws -> [UInt8] {
        var writer = XMLWriter()
        try writer.root("CompleteMultipartUpload") { writer in
            for part in parts.sorted(by: { $0.number < $1.number }) {
                try writer.element("Part") { writer in
                    if let checksum = part.checksum {
                        try writer.element(checksum.elementName, text: checksum.base64)
                    }
                    try writer.element("ETag", text: part.etag)
                    try writer.element("PartNumber", text: String(part.number))
                }
            }
        }
        return writer.bytes
    }
}
