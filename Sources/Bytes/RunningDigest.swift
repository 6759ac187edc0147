import COpenSSL

/// A running digest of any algorithm. SHA-256 that must survive a restart is `SHA256` itself.
public final class RunningDigest {
    private enum State {
        case sha256(SHA256)
        case blake3(BLAKE3)
        case openssl(OpaquePointer)
        case crc(RunningCRC)
    }

    /// What is being computed.
    public let algorithm: DigestAlgorithm
    private var state: State

    /// A digest of no bytes yet.
    ///
    /// - Precondition: not `.gitSHA1`, which begins with the length.
    public convenience init(_ algorithm: DigestAlgorithm) {
        precondition(algorithm != .gitSHA1, "a git blob's digest begins with its length")
        self.init(algorithm, size: 0)
    }

    /// A digest of the first of `size` bytes, none of them yet.
    public init(_ algorithm: DigestAlgorithm, size: UInt64) {
        self.algorithm = algorithm
        switch algorithm {
        case .sha256: state = .sha256(SHA256())
        case .blake3: state = .blake3(BLAKE3())
        case .sha1, .gitSHA1: state = .openssl(RunningDigest.context(of: EVP_sha1()))
        case .md5: state = .openssl(RunningDigest.context(of: EVP_md5()))
        case .crc32, .crc32c, .crc64nvme: state = .crc(RunningCRC(algorithm))
        }
        if algorithm == .gitSHA1 { (Array("blob \(size)".utf8) + [0]).withUnsafeBytes { update($0) } }
    }

    private static func context(of method: OpaquePointer?) -> OpaquePointer {
        guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, method, nil) == 1 else {
            preconditionFailure("OpenSSL has no MD5 or SHA-1: out of memory or a restricted provider")
        }
        return context
    }

    /// Takes in `bytes`.
    public func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        switch state {
        case .sha256(var hash):
            hash.update(bytes)
            state = .sha256(hash)
        case .blake3(var hash):
            hash.update(bytes)
            state = .blake3(hash)
        case .openssl(let context):
            EVP_DigestUpdate(context, base, bytes.count)
        case .crc(var crc):
            crc.update(bytes)
            state = .crc(crc)
        }
    }

    /// Takes in a chunk.
    public func update(_ chunk: Chunk) {
        chunk.withBytes { update($0) }
    }

    /// The digest of what was taken in. The digest is over after this: call it once.
    public func finish() -> Digest {
        let bytes: [UInt8]
        switch state {
        case .sha256(let hash): return hash.finalized()
        case .blake3(let hash): bytes = hash.finalized()
        case .openssl(let context):
            var out = [UInt8](repeating: 0, count: algorithm.byteCount)
            EVP_DigestFinal_ex(context, &out, nil)
            bytes = out
        case .crc(let crc): bytes = crc.digestBytes
        }
        guard let digest = Digest(algorithm, bytes: bytes) else { preconditionFailure("a digest has its length") }
        return digest
    }

    /// The digest of a list of chunks.
    public static func hash(_ algorithm: DigestAlgorithm, of chunks: [Chunk]) -> Digest {
        let digest = RunningDigest(algorithm, size: chunks.reduce(0) { $0 + UInt64($1.count) })
        for chunk in chunks { digest.update(chunk) }
        return digest.finish()
    }

    deinit {
        if case .openssl(let context) = state { EVP_MD_CTX_free(context) }
    }
}
