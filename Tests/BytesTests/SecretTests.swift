import SluiceBytes
import Testing

@Suite struct SecretTests {
    @Test(arguments: [
        ("", ""), ("nothing", "nothing"), ("hf_0123456789", "‹secret›"),
        ("a hf_0123456789, hf_0123456789", "a ‹secret›, ‹secret›"),
        ("hf_0123456788", "hf_0123456788"), ("cut off: hf_01234", "cut off: ‹secret›"), ("short: hf_0", "short: hf_0"),
        ("ü hf_0123456789 ü", "ü ‹secret› ü"),
    ])
    func `a text of a server is shown without the secret`(text: String, shown: String) {
        #expect(Secret("hf_0123456789").removed(from: text) == shown)
    }

    @Test func `an empty secret is in no text`() {
        #expect(Secret("").removed(from: "a text") == "a text")
    }

    @Test func `a secret has no description`() {
        let secret = Secret("hf_0123456789")
        var dumped = ""
        dump(secret, to: &dumped)
        #expect(!"\(secret) \(String(reflecting: secret)) \(dumped)".contains("0123"))
    }
}
