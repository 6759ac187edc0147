import Testing

@testable import SluiceBytes

@Suite struct ByteCountTests {
    @Test(
        "Sizes are parsed as people write them",
        arguments: [
            ("0", 0), ("512", 512), ("16k", 16_384), ("16K", 16_384), ("16KiB", 16_384), ("16KB", 16_000),
            ("1.5M", 1_572_864), ("2GiB", 2_147_483_648), ("2gb", 2_000_000_000), ("1T", 1_099_511_627_776),
            ("1tb", 1_000_000_000_000), ("7b", 7), (".5k", 512), ("18446744073709551615", .max),
            ("9007199254740993", 9_007_199_254_740_993), ("16777215T", 18_446_742_974_197_923_840),
        ] as [(String, UInt64)]
    )
    func parsing(text: String, bytes: UInt64) {
        #expect(ByteCount(parsing: text)?.bytes == bytes)
    }

    @Test(
        "What is no size is refused, and so is what passes 64 bits",
        arguments: [
            "", "k", "-1", "1 M", "1e3", "0x10", "1.2.3", "1kk", "1PB", "½", "²", "٣", "nan", "inf", ".", "16777216T",
            "18446744073709551616", "99999999999999999999999999", "1M ",
        ]
    )
    func refused(text: String) {
        #expect(ByteCount(parsing: text) == nil)
    }

    @Test(
        "Counts are written for people",
        arguments: [
            (0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1_048_576, "1 MiB"),
            (1_048_575, "1 MiB"), (157_286_400, "150 MiB"), (1_073_741_824, "1 GiB"), (.max, "16384 PiB"),
        ] as [(UInt64, String)]
    )
    func description(bytes: UInt64, text: String) {
        #expect(ByteCount(bytes).description == text)
    }
}

@Suite struct ByteRangeTests {
    @Test("Ranges are half-open here, and inclusive in HTTP")
    func http() {
        #expect(ByteRange(0, 1).httpRange == "bytes=0-0")
        #expect(ByteRange(5, 10).httpRange == "bytes=5-9")
        #expect(ByteRange(5, 5).httpRange == nil)
        #expect(ByteRange(9, 3).isEmpty && ByteRange(9, 3).lower == 9)
    }

    @Test("A range past 64 bits is none")
    func overflow() {
        #expect(ByteRange(at: .max, count: 1) == nil)
        #expect(ByteRange(at: .max, count: 0)?.isEmpty == true)
        #expect(ByteRange(at: 3, count: 4) == ByteRange(3, 7))
    }

    @Test(
        "What lies in both",
        arguments: [
            (0, 10, 5, 20, 5, 10), (0, 5, 5, 9, 5, 5), (5, 9, 0, 2, 5, 5), (0, 9, 2, 3, 2, 3),
        ] as [(UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)]
    )
    func intersection(a: UInt64, b: UInt64, c: UInt64, d: UInt64, lower: UInt64, upper: UInt64) {
        #expect(ByteRange(a, b).intersection(ByteRange(c, d)) == ByteRange(lower, upper))
    }
}
