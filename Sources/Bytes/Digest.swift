/// The digests that Sluice can compute in its one pass over the bytes.
public enum DigestAlgorithm: String, Sendable, Hashable, CaseIterable, Codable {
    /// FIPS 180-4.
    case sha256
    /// FIPS 180-4; only where a publisher gives nothing better.
    case sha1
    /// SHA-1 of `blob `, the length in decimal digits, a zero byte and the bytes: git's name of a file's content
    /// (gitformat-pack(5), "git hash-object").
    case gitSHA1 = "git-sha1"
    /// In its hash mode, 32 bytes; only where a publisher gives no SHA-256.
    case blake3
    /// RFC 1321; only a checksum.
    case md5
    /// ISO-HDLC, the CRC of gzip and zip.
    case crc32
    /// Castagnoli.
    case crc32c
    /// The reflected polynomial 0x9A6C9329AC4BC9B5, as NVMe and S3 use it.
    case crc64nvme

    /// The length of a digest in bytes.
    public var byteCount: Int {
        switch self {
        case .sha256, .blake3: 32
        case .sha1, .gitSHA1: 20
        case .md5: 16
        case .crc32, .crc32c: 4
        case .crc64nvme: 8
        }
    }
}

/// A digest's value. CRCs are held big-endian, as S3 writes them.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// How it was computed.
    public let algorithm: DigestAlgorithm
    /// Its bytes, `algorithm.byteCount` of them.
    public let bytes: [UInt8]

    /// Nil if `bytes` has the wrong length.
    public init?(_ algorithm: DigestAlgorithm, bytes: [UInt8]) {
        guard bytes.count == algorithm.byteCount else { return nil }
        self.algorithm = algorithm
        self.bytes = bytes
    }

    /// Nil if `hex` is not exactly the right number of hexadecimal digits.
    public init?(_ algorithm: DigestAlgorithm, hex: some StringProtocol) {
        guard let bytes = TextEncoding.bytes(hex: hex) else { return nil }
        self.init(algorithm, bytes: bytes)
    }

    /// Nil if `base64` is not canonical base64 of the right length.
    public init?(_ algorithm: DigestAlgorithm, base64: some StringProtocol) {
        guard let bytes = TextEncoding.bytes(base64: base64) else { return nil }
        self.init(algorithm, bytes: bytes)
    }

    /// Lower-case hexadecimal.
    public var hex: String { TextEncoding.hex(bytes) }

    /// Base64 with padding, as in `x-amz-checksum-*`.
    public var base64: String { TextEncoding.base64(bytes) }

    /// `sha256:9f86…`.
    public var description: String { "\(algorithm.rawValue):\(hex)" }
}
