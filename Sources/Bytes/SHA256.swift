import CChecksum
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

// MARK: - Two at once

extension SHA256 {
    /// Takes `firstBytes` into the one hash and `secondBytes` into the other, as two calls of `update` would.
    ///
    /// A processor with SHA instructions does both in little more than the time of one, as far as both have bytes: the
    /// steps of a single hash wait for each other. Elsewhere nothing is gained or lost.
    public static func update(
        _ first: inout SHA256,
        _ firstBytes: UnsafeRawBufferPointer,
        _ second: inout SHA256,
        _ secondBytes: UnsafeRawBufferPointer
    ) {
        var firstRest = first.completeBlock(firstBytes)
        var secondRest = second.completeBlock(secondBytes)
        let blocks = min(firstRest.count, secondRest.count) / blockSize
        if blocks > 0, sluice_sha256_two_available() != 0 {
            compress(blocks, &first, firstRest, &second, secondRest)
            firstRest = UnsafeRawBufferPointer(rebasing: firstRest.dropFirst(blocks * blockSize))
            secondRest = UnsafeRawBufferPointer(rebasing: secondRest.dropFirst(blocks * blockSize))
        }
        first.update(firstRest)
        second.update(secondRest)
    }

    /// Bytes that go into the state at a time.
    public static let blockSize = 64

    /// Takes in what the unfinished block lacks.
    ///
    /// - Returns: the rest; there is one only if no block is unfinished any more.
    private mutating func completeBlock(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        guard context.num > 0 else { return bytes }
        let head = bytes.prefix(SHA256.blockSize - Int(context.num))
        update(UnsafeRawBufferPointer(rebasing: head))
        return UnsafeRawBufferPointer(rebasing: bytes.dropFirst(head.count))
    }

    /// Takes whole blocks into two hashes that have no unfinished one. Needs `sluice_sha256_two_available()`.
    private static func compress(
        _ blocks: Int,
        _ first: inout SHA256,
        _ firstBytes: UnsafeRawBufferPointer,
        _ second: inout SHA256,
        _ secondBytes: UnsafeRawBufferPointer
    ) {
        guard let firstBase = firstBytes.assumingMemoryBound(to: UInt8.self).baseAddress,
            let secondBase = secondBytes.assumingMemoryBound(to: UInt8.self).baseAddress
        else { return }
        withUnsafeMutableBytes(of: &first.context.h) { firstState in
            withUnsafeMutableBytes(of: &second.context.h) { secondState in
                guard let firstWords = firstState.assumingMemoryBound(to: UInt32.self).baseAddress,
                    let secondWords = secondState.assumingMemoryBound(to: UInt32.self).baseAddress
                else { return }
                sluice_sha256_update_two(firstWords, firstBase, secondWords, secondBase, blocks)
            }
        }
        first.add(blocks)
        second.add(blocks)
    }

    /// Counts blocks, as OpenSSL does: in bits, modulo 2^64.
    private mutating func add(_ blocks: Int) {
        let bits = (UInt64(context.Nh) << 32 | UInt64(context.Nl)) &+ UInt64(blocks) &* UInt64(SHA256.blockSize * 8)
        context.Nh = UInt32(truncatingIfNeeded: bits >> 32)
        context.Nl = UInt32(truncatingIfNeeded: bits)
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
