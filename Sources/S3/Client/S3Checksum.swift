import SluiceBytes
import SluiceTransport

/// A checksum as S3 names it: one algorithm, its value in base64.
package struct S3Checksum: Sendable, Hashable, Codable {
    package let algorithm: DigestAlgorithm
    /// Base64 of the big-endian bytes; for a composite, with `-N` after it.
    package let base64: String

    package init(_ digest: Digest) {
        algorithm = digest.algorithm
        base64 = digest.base64
    }

    package init(_ algorithm: DigestAlgorithm, base64: String) {
        self.algorithm = algorithm
        self.base64 = base64
    }

    /// `CRC64NVME`, for `x-amz-checksum-algorithm`; nil for what S3 does not know (MD5 goes in `Content-MD5`).
    package static func name(of algorithm: DigestAlgorithm) -> String? {
        switch algorithm {
        case .sha256: "SHA256"
        case .sha1: "SHA1"
        case .crc32: "CRC32"
        case .crc32c: "CRC32C"
        case .crc64nvme: "CRC64NVME"
        case .md5, .gitSHA1, .blake3: nil
        }
    }

    /// The element of a document: `ChecksumCRC32`.
    package var elementName: String { "Checksum\(S3Checksum.name(of: algorithm) ?? "MD5")" }

    /// The header of a request or an answer: `x-amz-checksum-crc32`, or `Content-MD5`.
    package var headerName: String { S3Checksum.headerName(algorithm) }

    package static func headerName(_ algorithm: DigestAlgorithm) -> String {
        name(of: algorithm).map { "x-amz-checksum-\($0.lowercased())" } ?? "Content-MD5"
    }

    /// Whether it is a hash of part hashes: comparable only with the same algorithm and the same part boundaries.
    package var isComposite: Bool { base64.contains("-") }

    /// The whole object's digest; nil for a composite, or what is not base64 of the right length.
    package var digest: Digest? { Digest(algorithm, base64: base64) }

    /// The digests that an element carries.
    static func digests(in element: XMLElement) -> [Digest] {
        all(where: { element.text(of: "Checksum\($0)") }).compactMap(\.digest)
    }

    /// The checksums that an answer's headers carry.
    static func all(in headers: HTTPHeaders) -> [S3Checksum] {
        all(where: { headers["x-amz-checksum-\($0.lowercased())"] })
    }

    private static func all(where value: (String) -> String?) -> [S3Checksum] {
        DigestAlgorithm.allCases.compactMap { algorithm in
            name(of: algorithm).flatMap(value).map { S3Checksum(algorithm, base64: $0) }
        }
    }
}
