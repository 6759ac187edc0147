import SluiceBytes

/// A SHA-256 in 32 bytes without a heap cell: a store has millions of them.
package struct BlobKey: Hashable, Sendable, Comparable, BitwiseCopyable {
    /// Big-endian, so that keys are in the order of their digits.
    let words: (UInt64, UInt64, UInt64, UInt64)

    init(words: (UInt64, UInt64, UInt64, UInt64)) {
        self.words = words
    }

    /// - Precondition: a SHA-256.
    package init(_ digest: Digest) {
        precondition(digest.algorithm == .sha256, "blobs are known by their SHA-256")
        func word(_ index: Int) -> UInt64 {
            digest.bytes[8 * index..<8 * index + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
        words = (word(0), word(1), word(2), word(3))
    }

    /// Nil unless `hex` is 64 lower-case digits: one blob has one name.
    init?(hex: String) { self.init(digits: hex.utf8) }

    package var digest: Digest {
        let bytes = [words.0, words.1, words.2, words.3].flatMap { word in
            (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * $0)) }
        }
        guard let digest = Digest(.sha256, bytes: bytes) else { preconditionFailure("four words are 32 bytes") }
        return digest
    }

    var hex: String { digest.hex }

    /// The first byte of the digest: which shard, and which bucket of a `BlobTable`.
    var bucket: Int { Int(words.0 >> 56) }

    /// Nil unless `name` is 64 lower-case digits; without the arrays of `digest`.
    init?(_ name: StoreName) { self.init(digits: name.bytes) }

    private init?(digits: some Collection<UInt8>) {
        guard digits.count == 64 else { return nil }
        var words: [4 of UInt64] = [0, 0, 0, 0]
        for (index, byte) in digits.enumerated() {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: return nil
            }
            words[index >> 4] = words[index >> 4] << 4 | UInt64(digit)
        }
        self.words = (words[0], words[1], words[2], words[3])
    }

    package static func == (left: BlobKey, right: BlobKey) -> Bool { left.words == right.words }

    package static func < (left: BlobKey, right: BlobKey) -> Bool { left.words < right.words }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
