import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceSources

@Suite("Secrets that a hub may repeat")
struct HubSecretsTests {
    private let secrets = HubSecrets(Secret("hf_canary/0"))

    @Test(
        "they are found in a body, however JSON writes them",
        arguments: [
            ("[{\"path\":\"hf_canary/0\"}]", true), ("[{\"path\":\"hf_canary\\/0\"}]", true),
            ("\"\\u0068\\u0066_c\\u0061nary/0\"", true), ("\"\\\\u0068f_canary/0\"", false),
            ("\"hf_canary\\n/0\"", false), ("\"\\u68f_canary/0\"", false), ("hf_canary", false), ("", false),
            ("\\", false), ("\\u", false), ("\\u00", false), ("\\u00ef", false),
        ]
    )
    func body(text: String, isThere: Bool) {
        #expect(secrets.stand(in: Array(text.utf8)) == isThere)
        #expect(!HubSecrets(nil).stand(in: Array(text.utf8)))
    }

    @Test("they are found in any field but a cookie's")
    func fields() {
        for name in ["ETag", "Link", "X-Error-Message", "Location"] {
            #expect(secrets.stand(in: ["Date": "x", name: "W/\"hf_canary/0\""]))
            #expect(!secrets.stand(in: [name: "hf_canary"]))
        }
        #expect(!secrets.stand(in: ["Set-Cookie": "session=hf_canary/0"]))
        #expect(!HubSecrets(nil).stand(in: ["ETag": "hf_canary/0"]))
    }

    @Test("those that a registry gives out are found too, and the user's own is never forgotten")
    func given() {
        for number in 0..<500 { secrets.add(Secret("given-token-\(number)")) }
        secrets.add(Secret("hf_canary/0"))
        #expect(secrets.stand(in: Array("given-token-499".utf8)))
        #expect(!secrets.stand(in: Array("given-token-1 ".utf8)))
        #expect(secrets.stand(in: Array("hf_canary/0".utf8)))
    }
}
