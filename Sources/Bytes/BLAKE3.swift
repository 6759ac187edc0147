/// A running BLAKE3 in its hash mode: portable, without vectors; only where a publisher gives no SHA-256.
///
/// The input is a binary tree of chunks of 1,024 bytes. Of the subtrees that are complete only the chaining values are
/// kept, one for each bit that is set in the number of chunks.
/// See: https://github.com/BLAKE3-team/BLAKE3-specs/blob/master/blake3.pdf
struct BLAKE3 {
    private typealias Words = InlineArray<16, UInt32>
    private typealias Value = InlineArray<8, UInt32>

    private static let blockLength = 64
    private static let blocksOfChunk = 16

    /// Table 3: the domain flags.
    private enum Flag {
        static let chunkStart: UInt32 = 1
        static let chunkEnd: UInt32 = 2
        static let parent: UInt32 = 4
        static let root: UInt32 = 8
    }

    /// Table 1, that of SHA-256.
    private static let start: Value = [
        0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
    ]

    /// Of the complete subtrees, the largest first.
    private var subtrees: [Value] = []
    private var chunk: UInt64 = 0
    /// Of the present chunk, after the blocks that are compressed.
    private var value = start
    private var blocks = 0
    /// The last block is kept until more comes: whether it ends a chunk, or everything, is not known before.
    private var block = Words(repeating: 0)
    private var blockCount = 0

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            if blockCount == BLAKE3.blockLength { endBlock() }
            let taken = rest.prefix(BLAKE3.blockLength - blockCount)
            let place = blockCount
            withUnsafeMutableBytes(of: &block) { block in
                UnsafeMutableRawBufferPointer(rebasing: block[place...])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: taken))
            }
            blockCount += taken.count
            rest = rest.dropFirst(taken.count)
        }
    }

    /// More follows a block that is full.
    private mutating func endBlock() {
        let isLast = blocks == BLAKE3.blocksOfChunk - 1
        let flags = startFlag | (isLast ? Flag.chunkEnd : 0)
        value = BLAKE3.compress(value, block, counter: chunk, count: UInt32(BLAKE3.blockLength), flags: flags)
        blocks += 1
        block = Words(repeating: 0)
        blockCount = 0
        if isLast { endChunk() }
    }

    /// Joins the chunk with the subtrees of its size: as many as the new number of chunks has zero bits at its end.
    private mutating func endChunk() {
        chunk += 1
        var joined = value
        for _ in 0..<chunk.trailingZeroBitCount {
            guard let left = subtrees.popLast() else { preconditionFailure("a subtree for every bit of the number") }
            joined = BLAKE3.parent(left, joined, flags: 0)
        }
        subtrees.append(joined)
        value = BLAKE3.start
        blocks = 0
    }

    private var startFlag: UInt32 { blocks == 0 ? Flag.chunkStart : 0 }

    /// The 32 bytes of the digest; more may be taken in after it.
    func finalized() -> [UInt8] {
        let isAlone = subtrees.isEmpty
        let flags = startFlag | Flag.chunkEnd | (isAlone ? Flag.root : 0)
        var output = BLAKE3.compress(value, block, counter: chunk, count: UInt32(blockCount), flags: flags)
        for (index, left) in subtrees.enumerated().reversed() {
            output = BLAKE3.parent(left, output, flags: index == 0 ? Flag.root : 0)
        }
        var bytes: [UInt8] = []
        for index in output.indices {
            for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: output[index] >> shift)) }
        }
        return bytes
    }

    private static func parent(_ left: Value, _ right: Value, flags: UInt32) -> Value {
        var words = Words(repeating: 0)
        for index in left.indices {
            words[index] = left[index].littleEndian
            words[index + 8] = right[index].littleEndian
        }
        return compress(start, words, counter: 0, count: UInt32(blockLength), flags: Flag.parent | flags)
    }

    /// §2.2, as far as the chaining value, or the first 32 bytes of the root's output, goes.
    ///
    /// - Parameter block: in the order of the bytes in memory.
    private static func compress(
        _ value: Value,
        _ block: Words,
        counter: UInt64,
        count: UInt32,
        flags: UInt32
    ) -> Value {
        var state: Words = [
            value[0], value[1], value[2], value[3], value[4], value[5], value[6], value[7],
            start[0], start[1], start[2], start[3],
            UInt32(truncatingIfNeeded: counter), UInt32(truncatingIfNeeded: counter >> 32), count, flags,
        ]
        var message = block
        for index in message.indices { message[index] = UInt32(littleEndian: block[index]) }
        for number in 0..<7 {
            if number > 0 { message = permuted(message) }
            round(&state, message)
        }
        var output = Value(repeating: 0)
        for index in output.indices { output[index] = state[index] ^ state[index + 8] }
        return output
    }

    /// Table 2.
    @inline(__always)
    private static func permuted(_ m: Words) -> Words {
        [m[2], m[6], m[3], m[10], m[7], m[0], m[4], m[13], m[1], m[11], m[12], m[5], m[9], m[14], m[15], m[8]]
    }

    @inline(__always)
    private static func round(_ state: inout Words, _ m: Words) {
        mix(&state, 0, 4, 8, 12, m[0], m[1])
        mix(&state, 1, 5, 9, 13, m[2], m[3])
        mix(&state, 2, 6, 10, 14, m[4], m[5])
        mix(&state, 3, 7, 11, 15, m[6], m[7])
        mix(&state, 0, 5, 10, 15, m[8], m[9])
        mix(&state, 1, 6, 11, 12, m[10], m[11])
        mix(&state, 2, 7, 8, 13, m[12], m[13])
        mix(&state, 3, 4, 9, 14, m[14], m[15])
    }

    @inline(__always)
    private static func mix(
        _ state: inout Words,
        _ a: Int,
        _ b: Int,
        _ c: Int,
        _ d: Int,
        _ first: UInt32,
        _ second: UInt32
    ) {
        state[a] = state[a] &+ state[b] &+ first
        state[d] = rotated(state[d] ^ state[a], 16)
        state[c] = state[c] &+ state[d]
        state[b] = rotated(state[b] ^ state[c], 12)
        state[a] = state[a] &+ state[b] &+ second
        state[d] = rotated(state[d] ^ state[a], 8)
        state[c] = state[c] &+ state[d]
        state[b] = rotated(state[b] ^ state[c], 7)
    }

    @inline(__always)
    private static func rotated(_ word: UInt32, _ count: UInt32) -> UInt32 { word >> count | word << (32 - count) }
}
