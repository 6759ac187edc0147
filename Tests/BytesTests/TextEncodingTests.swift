import Testing

@testable import SluiceBytes

@Suite struct TextEncodingTests {
    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64Vectors(text: String, base64: String) {
        #expect(TextEncoding.base64(Array(text.utf8)) == base64)
        #expect(TextEncoding.bytes(base64: base64) == Array(text.utf8))
    }

    @Test(arguments: ["Z", "Zg", "Zg=", "Zg===", "Z===", "Zg==Zg==", "Zm 9", "Zm9v\n", "_m9v"])
    func whatIsNotBase64IsRefused(text: String) {
        #expect(TextEncoding.bytes(base64: text) == nil)
    }

    @Test func everyByteGoesThroughHexAndBack() {
        let bytes = (0...255).map { UInt8($0) }
        #expect(TextEncoding.bytes(hex: TextEncoding.hex(bytes)) == bytes)
        #expect(TextEncoding.bytes(base64: TextEncoding.base64(bytes)) == bytes)
        #expect(TextEncoding.bytes(hex: "0") == nil)
        #expect(TextEncoding.bytes(hex: "0g") == nil)
        #expect(TextEncoding.bytes(hex: "AbCd") == [0xAB, 0xCD])
    }

    /// RFC 4231, case 2.
    @Test func hmacVector() {
        let mac = HMACSHA256.authenticate(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8))
        #expect(TextEncoding.hex(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }
}
