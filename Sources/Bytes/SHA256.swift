import COpenSSL

/// SHA-256 (FIPS 180-4) whose running state can be saved and taken up by another process.
public struct SHA256: Sendable {
    private var context = SHA256_CTX()

    /// A hash of no bytes yet.
    public init() {
        sluice_sha256_init(&context)
    }

    /// Takes in `bytes`. Feed it large runs: the call costs more than a few bytes do.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        sluice_sha256_update(&context, base, bytes.count)
    }

    /// Takes in a chunk.
    public mutating func update(_ chunk: Chunk) {
        chunk.withBytes { update($0) }
    }

    /// The digest of what was taken in; the hash itself can go on.
    public func finalized() -> Digest {
        var copy = context
        var out = [UInt8](repeating: 0, count: 32)
        sluice_sha256_final(&copy, &out)
        return SHA256.digest(out)
    }

    /// The digest of `bytes`.
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> Digest {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalized()
    }

    /// The digest of a text's UTF-8 bytes.
    public static func hash(_ text: String) -> Digest {
        Array(text.utf8).withUnsafeBytes { hash($0) }
    }

    static func digest(_ bytes: [UInt8]) -> Digest {
        guard let digest = Digest(.sha256, bytes: bytes) else { preconditionFailure("SHA-256 is 32 bytes") }
        return digest
    }
}

// MARK: - Saved state

extension SHA256 {
    /// The running state for the journal: a version byte, the eight words, the bit count, and the bytes of the
    /// unfinished block; all numbers big-endian.
    public var savedState: [UInt8] {
        var state: [UInt8] = [1]
        withUnsafeBytes(of: context.h) { words in
            for word in words.bindMemory(to: UInt32.self) { state.appendBigEndian(word) }
        }
        state.appendBigEndian(context.Nh)
        state.appendBigEndian(context.Nl)
        state.append(UInt8(truncatingIfNeeded: context.num))
        withUnsafeBytes(of: context.data) { state.append(contentsOf: $0.prefix(Int(context.num))) }
        return state
    }

    /// Goes on from a saved state; nil if `state` is not one.
    public init?(savedState state: [UInt8]) {
        let header = 1 + 32 + 8 + 1
        guard state.count >= header, state[0] == 1, state[header - 1] < 64,
            state.count == header + Int(state[header - 1])
        else { return nil }
        self.init()
        let words = (0..<10).map { state.bigEndianWord(at: 1 + 4 * $0) }
        withUnsafeMutableBytes(of: &context.h) { target in
            for index in 0..<8 { target.storeBytes(of: words[index], toByteOffset: 4 * index, as: UInt32.self) }
        }
        context.Nh = words[8]
        context.Nl = words[9]
        context.num = UInt32(state[header - 1])
        withUnsafeMutableBytes(of: &context.data) { $0.copyBytes(from: state[header...]) }
    }

    /// Bytes taken in so far.
    public var count: UInt64 { (UInt64(context.Nh) << 32 | UInt64(context.Nl)) >> 3 }
}

extension [UInt8] {
    fileprivate mutating func appendBigEndian(_ word: UInt32) {
        Swift.withUnsafeBytes(of: word.bigEndian) { append(contentsOf: $0) }
    }

    fileprivate func bigEndianWord(at offset: Int) -> UInt32 {
        self[offset..<offset + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
}
