import Testing

@testable import SluiceBytes

/// Known answers of FIPS 180-4, RFC 1321 and the CRC catalogue.
@Suite struct DigestTests {
    private let pool = BufferPool()

    private func hash(_ algorithm: DigestAlgorithm, _ text: String) -> String {
        RunningDigest.hash(algorithm, of: Chunk.chunks(of: Array(text.utf8), from: pool)).hex
    }

    @Test(arguments: [
        (DigestAlgorithm.sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (.sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            .sha256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (.sha1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        (.sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        // git hash-object --stdin
        (.gitSHA1, "", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (.gitSHA1, "hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        (.md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
        (.md5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
        (.crc32, "123456789", "cbf43926"),
        (.crc32c, "123456789", "e3069283"),
        (.crc64nvme, "123456789", "ae8b14860a799888"),
        (.crc32, "", "00000000"),
        (.crc64nvme, "", "0000000000000000"),
    ])
    func knownAnswers(algorithm: DigestAlgorithm, text: String, hex: String) {
        #expect(hash(algorithm, text) == hex)
    }

    @Test func aMillionLettersA() {
        #expect(
            hash(.sha256, String(repeating: "a", count: 1_000_000))
                == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        )
    }

    @Test(arguments: DigestAlgorithm.allCases)
    func theCutsDoNotMatter(algorithm: DigestAlgorithm) {
        let bytes = (0..<300).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
        let whole = RunningDigest(algorithm, size: UInt64(bytes.count))
        bytes.withUnsafeBytes { whole.update($0) }
        let expected = whole.finish()
        for cut in stride(from: 0, through: bytes.count, by: 1) {
            let digest = RunningDigest(algorithm, size: UInt64(bytes.count))
            Array(bytes[..<cut]).withUnsafeBytes { digest.update($0) }
            Array(bytes[cut...]).withUnsafeBytes { digest.update($0) }
            #expect(digest.finish() == expected, "cut at \(cut)")
        }
    }

    /// Three blocks side by side, joined, are the same CRC as one table gives, whatever the length and the start.
    @Test(arguments: [0, 1, 24_575, 24_576, 24_577, 49_152, 100_003])
    func theFastCRC32CIsTheTables(count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 &+ $0 >> 8) }
        for start: UInt32 in [0, .max, 0x1234_5678] {
            let fast = bytes.withUnsafeBytes { CastagnoliCRC.update(start, $0) }
            let table = bytes.withUnsafeBytes { TableCRC.crc32c.update(UInt64(start), $0) }
            #expect(UInt64(fast) == table)
        }
    }

    @Test func aSavedStateGoesOnAtEverySplit() throws {
        let bytes = (0..<200).map { UInt8($0) }
        let expected = bytes.withUnsafeBytes { SHA256.hash($0) }
        for cut in 0...bytes.count {
            var first = SHA256()
            Array(bytes[..<cut]).withUnsafeBytes { first.update($0) }
            var second = try #require(SHA256(savedState: first.savedState))
            #expect(second.count == UInt64(cut))
            Array(bytes[cut...]).withUnsafeBytes { second.update($0) }
            #expect(second.finalized() == expected, "split at \(cut)")
        }
    }

    @Test func aDamagedStateIsRefused() {
        let state = SHA256().savedState
        #expect(SHA256(savedState: []) == nil)
        #expect(SHA256(savedState: Array(state.dropLast())) == nil)
        #expect(SHA256(savedState: [2] + state.dropFirst()) == nil)
        #expect(SHA256(savedState: state + [0]) == nil)
    }
}
