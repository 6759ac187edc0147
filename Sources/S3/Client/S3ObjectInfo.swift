import SluiceBytes
import SluiceTransport

/// What a server says about one object.
package struct S3ObjectInfo: Sendable {
    package let key: S3Key
    /// The whole object's length in bytes.
    package let size: UInt64
    /// With its quotes.
    package let etag: String?
    package let versionID: String?
    package let lastModified: Timestamp?
    package let checksums: [S3Checksum]
    /// `x-amz-checksum-type`: whether the checksums are of the whole object.
    package let checksumsAreFullObject: Bool
    /// `x-amz-meta-*` without the prefix, in lower case.
    package let metadata: [String: String]
    package let storageClass: String?
    /// In an archive class and not restored: a GET would fail.
    package let isArchived: Bool
    /// The content headers as they were stored, `aws-chunked` taken out of the encoding.
    package let content: S3ContentHeaders
    package let partsCount: Int?
    package let serverSideEncryption: String?

    /// Reads an answer to HEAD or GET; `size` comes from Content-Range where the answer is a part.
    init(key: S3Key, size: UInt64, headers: HTTPHeaders) {
        self.key = key
        self.size = size
        etag = headers["ETag"].map(S3ETag.quoted)
        versionID = headers["x-amz-version-id"].flatMap { $0 == "null" ? nil : $0 }
        lastModified = headers["Last-Modified"].flatMap { Timestamp(httpDate: $0) }
        checksums = S3Checksum.all(in: headers)
        checksumsAreFullObject =
            headers["x-amz-checksum-type"].map { $0 == "FULL_OBJECT" } ?? !checksums.contains(where: \.isComposite)
        metadata = S3ObjectInfo.metadata(in: headers)
        let storageClass = headers["x-amz-storage-class"]
        self.storageClass = storageClass
        let restored = headers["x-amz-restore"]?.contains("ongoing-request=\"false\"") ?? false
        isArchived =
            (storageClass == "GLACIER" || storageClass == "DEEP_ARCHIVE") && !restored
            || headers["x-amz-archive-status"] != nil
        content = S3ContentHeaders(headers)
        partsCount = headers["x-amz-mp-parts-count"].flatMap { Int($0) }
        serverSideEncryption = headers["x-amz-server-side-encryption"]
    }

    private static func metadata(in headers: HTTPHeaders) -> [String: String] {
        var found: [String: String] = [:]
        for field in headers {
            let name = field.name.lowercased()
            if name.hasPrefix("x-amz-meta-") { found[String(name.dropFirst(11))] = field.value }
        }
        return found
    }

    /// Our own metadata's names.
    package static let sha256Name = "sluice-sha256"
    package static let writeIDName = "sluice-write-id"

    /// The object's SHA-256 as Sluice recorded it when it wrote the object; nil if it did not.
    package var recordedSHA256: Digest? {
        metadata[S3ObjectInfo.sha256Name].flatMap { Digest(.sha256, hex: $0) }
    }

    /// The write token of the upload that made this object.
    package var writeID: String? { metadata[S3ObjectInfo.writeIDName] }
}

/// The headers that describe an object's content and are stored with it.
package struct S3ContentHeaders: Sendable, Hashable, Codable {
    package var type: String?
    package var encoding: String?
    package var disposition: String?
    package var language: String?
    package var cacheControl: String?
    package var expires: String?

    package init() {}

    init(_ headers: HTTPHeaders) {
        type = headers["Content-Type"]
        // Some servers store the framing's name as if it were an encoding (rclone takes it out as well).
        let codings = headers["Content-Encoding"].map { value in
            value.split(separator: ",").map { $0.filter { $0 != " " } }.filter { $0.lowercased() != "aws-chunked" }
        }
        encoding = codings.flatMap { $0.isEmpty ? nil : $0.joined(separator: ",") }
        disposition = headers["Content-Disposition"]
        language = headers["Content-Language"]
        cacheControl = headers["Cache-Control"]
        expires = headers["Expires"]
    }

    var fields: [(String, String?)] {
        [
            ("Content-Type", type), ("Content-Encoding", encoding), ("Content-Disposition", disposition),
            ("Content-Language", language), ("Cache-Control", cacheControl), ("Expires", expires),
        ]
    }
}
