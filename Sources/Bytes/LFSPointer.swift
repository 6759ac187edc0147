/// What stands in a repository for a large file (git-lfs, docs/spec.md: keys in this order, one a line).
public struct LFSPointer: Sendable {
    /// Its bytes, as text.
    public let text: String

    /// The pointer to bytes of that digest and length.
    public init(sha256: Digest, size: UInt64) {
        text = "version https://git-lfs.github.com/spec/v1\noid sha256:\(sha256.hex)\nsize \(size)\n"
    }

    /// Git's name of it.
    public var object: Digest {
        let digest = RunningDigest(.gitSHA1, size: UInt64(text.utf8.count))
        Array(text.utf8).withUnsafeBytes { digest.update($0) }
        return digest.finish()
    }
}
