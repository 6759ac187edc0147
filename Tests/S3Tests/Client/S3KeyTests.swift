import Testing

@testable import SluiceS3

@Suite struct S3KeyTests {
    @Test func twinsOfUnicodeAreTwoKeys() {
        let composed = S3Key("\u{E9}")
        let decomposed = S3Key("e\u{301}")
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
        #expect(decomposed < composed)
    }

    @Test func keysSortAsBytes() {
        let keys: [S3Key] = ["a/b", "a-b", "a", "B", "\u{FFFF}", "\u{10000}"]
        #expect(keys.sorted() == ["B", "a", "a-b", "a/b", "\u{FFFF}", "\u{10000}"])
    }

    @Test(
        arguments: [
            ([0x61, 0x01], "a\\x01"), ([0x5C], "\\x5C"), ([0xFF, 0x62], "\\xFFb"), ([0xC3, 0xA9], "é"),
            ([0x1B, 0x5B], "\\x1B["), ([0xE2, 0x80, 0xAE], "\\xE2\\x80\\xAE"), ([0xF0, 0x9F, 0x98, 0x80], "😀"),
        ] as [([UInt8], String)]
    )
    func theDisplayFormIsLosslessAndHarmless(bytes: [UInt8], text: String) {
        #expect(S3Key(bytes: bytes).description == text)
    }

    @Test(arguments: [
        ("a b+c%d", "a%20b%2Bc%25d"), ("//a/../b/.", "//a/../b/."), ("é", "%C3%A9"), ("?#@&=", "%3F%23%40%26%3D"),
        ("-._~", "-._~"),
    ])
    func theKeyIsEncodedOnce(key: String, path: String) {
        #expect(S3Key(key).encodedPath == path)
    }
}
