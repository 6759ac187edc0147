import CChecksum

/// A reflected CRC of up to 64 bits, eight bytes at a time by eight tables.
struct TableCRC: Sendable {
    private let tables: [UInt64]

    init(reflectedPolynomial polynomial: UInt64) {
        var tables = [UInt64](repeating: 0, count: 8 * 256)
        for index in 0..<256 {
            var value = UInt64(index)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ polynomial : value >> 1 }
            tables[index] = value
        }
        for index in 256..<8 * 256 {
            let previous = tables[index - 256]
            tables[index] = previous >> 8 ^ tables[Int(previous & 255)]
        }
        self.tables = tables
    }

    func update(_ state: UInt64, _ bytes: UnsafeRawBufferPointer) -> UInt64 {
        tables.withUnsafeBufferPointer { tables in
            var crc = state
            var offset = 0
            while offset + 8 <= bytes.count {
                let word = crc ^ UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
                crc = 0
                for lane in 0..<8 {
                    crc ^= tables[(7 - lane) * 256 + Int(word >> UInt64(8 * lane) & 255)]
                }
                offset += 8
            }
            while offset < bytes.count {
                crc = crc >> 8 ^ tables[Int((crc ^ UInt64(bytes[offset])) & 255)]
                offset += 1
            }
            return crc
        }
    }

    static let crc32 = TableCRC(reflectedPolynomial: 0xEDB8_8320)
    static let crc32c = TableCRC(reflectedPolynomial: 0x82F6_3B78)
    static let crc64nvme = TableCRC(reflectedPolynomial: 0x9A6C_9329_AC4B_C9B5)
}

/// A running CRC: initial value and final xor are all ones, as in all three of S3's.
struct RunningCRC: Sendable {
    let algorithm: DigestAlgorithm
    private var state: UInt64

    init(_ algorithm: DigestAlgorithm) {
        self.algorithm = algorithm
        state = algorithm == .crc64nvme ? .max : UInt64(UInt32.max)
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch algorithm {
        case .crc32: state = TableCRC.crc32.update(state, bytes)
        case .crc32c: updateCastagnoli(bytes)
        default: state = TableCRC.crc64nvme.update(state, bytes)
        }
    }

    private mutating func updateCastagnoli(_ bytes: UnsafeRawBufferPointer) {
        let wide = UInt32(truncatingIfNeeded: state)
        if sluice_crc32c_available() != 0 {
            state = UInt64(CastagnoliCRC.update(wide, bytes))
        } else {
            state = TableCRC.crc32c.update(state, bytes)
        }
    }

    var digestBytes: [UInt8] {
        let value = algorithm == .crc64nvme ? ~state : ~state & UInt64(UInt32.max)
        return (0..<algorithm.byteCount).reversed().map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
    }
}
