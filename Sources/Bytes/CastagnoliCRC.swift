import CChecksum

/// CRC32C by the processor's instruction: three blocks at a time, whose states are joined afterwards.
///
/// A CRC is linear: the state after `A` and `B` is the state of `A` carried over as many zero bytes as `B` has, xor the
/// state of `B` alone from zero. Carrying a state over a block is four look-ups.
enum CastagnoliCRC {
    /// Bytes of one of the three blocks: long enough that joining costs nothing, short enough for small chunks.
    private static let block = 8192

    /// What a state becomes over one block of zero bytes, by each of its four bytes.
    private static let carried: [UInt32] = {
        let zeros = [UInt8](repeating: 0, count: block)
        let ofBit = (0..<32).map { bit in zeros.withUnsafeBufferPointer { single(1 << UInt32(bit), $0) } }
        var table = [UInt32](repeating: 0, count: 4 * 256)
        for byte in 0..<4 {
            for value in 0..<256 {
                for bit in 0..<8 where value >> bit & 1 == 1 { table[byte * 256 + value] ^= ofBit[byte * 8 + bit] }
            }
        }
        return table
    }()

    private static func single(_ state: UInt32, _ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        guard let base = bytes.baseAddress else { return state }
        return sluice_crc32c_update(state, base, bytes.count)
    }

    private static func carry(_ state: UInt32) -> UInt32 {
        carried[Int(state & 255)] ^ carried[256 + Int(state >> 8 & 255)] ^ carried[512 + Int(state >> 16 & 255)]
            ^ carried[768 + Int(state >> 24)]
    }

    /// The state after `bytes`, without the initial and final inversion. Needs `sluice_crc32c_available()`.
    static func update(_ state: UInt32, _ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var state = state
        var rest = UnsafeBufferPointer(start: bytes.assumingMemoryBound(to: UInt8.self).baseAddress, count: bytes.count)
        while rest.count >= 3 * block, let base = rest.baseAddress {
            var states: (UInt32, UInt32, UInt32) = (state, 0, 0)
            withUnsafeMutableBytes(of: &states) { states in
                if let words = states.assumingMemoryBound(to: UInt32.self).baseAddress {
                    sluice_crc32c_update_three(words, base, block)
                }
            }
            state = carry(carry(states.0) ^ states.1) ^ states.2
            rest = UnsafeBufferPointer(rebasing: rest.dropFirst(3 * block))
        }
        return single(state, rest)
    }
}
