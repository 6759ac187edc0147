import SluiceBytes
import Testing

@Suite struct SecretTests {
    @Test(arguments: [
        ("", false), ("nothing", false), ("hf_0123456789", true), ("a hf_0123456789b", true), ("hf_012345678", false),
        ("hf_0123456788 hf_0123456789", true), ("HF_0123456789", false), ("ü\0hf_0123456789 ü", true),
    ])
    func `a secret is found in the bytes of a server`(text: String, isThere: Bool) {
        #expect(Secret("hf_0123456789").stands(in: Array(text.utf8)) == isThere)
    }

    @Test func `what is shorter than eight bytes is not looked for`() {
        #expect(!Secret("").stands(in: Array("a text".utf8)))
        #expect(!Secret("1234567").stands(in: Array("12345678".utf8)))
        #expect(Secret("12345678").stands(in: Array("12345678".utf8)))
    }

    @Test func `a secret has no description`() {
        let secret = Secret("hf_0123456789")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("0123"))
    }
}
