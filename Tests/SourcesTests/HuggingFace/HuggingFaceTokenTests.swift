import SluiceBytes
import Testing

@testable import SluiceSources

@Suite("The token of Hugging Face")
struct HuggingFaceTokenTests {
    private func found(_ environment: [String: String], files: [String: String] = [:]) -> String? {
        HuggingFaceToken.find(environment) { files[$0].map { Array($0.utf8) } }?.exposed
    }

    @Test("its places, in the order of the hub's own client")
    func order() {
        var environment = [
            "HF_TOKEN": "a", "HUGGING_FACE_HUB_TOKEN": "b", "HF_TOKEN_PATH": "/c", "HF_HOME": "/d",
            "XDG_CACHE_HOME": "/e", "HOME": "/f",
        ]
        let files = [
            "/c": "c\n", "/d/token": "d", "/e/huggingface/token": " e ", "/f/.cache/huggingface/token": "f\r\n",
        ]
        let names = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HOME", "XDG_CACHE_HOME", "HOME"]
        for (name, token) in zip(names, ["a", "b", "c", "d", "e", "f"]) {
            #expect(found(environment, files: files) == token)
            environment[name] = nil
        }
        #expect(found(environment, files: files) == nil)
    }

    @Test("an empty one is none, and one that cannot be sent is none")
    func useless() {
        #expect(found(["HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "b"]) == "b")
        #expect(found(["HF_TOKEN": " \n", "HUGGING_FACE_HUB_TOKEN": "b"]) == "b")
        #expect(found(["HF_TOKEN": "a b"]) == nil)
        #expect(found(["HF_TOKEN": "ä"]) == nil)
        #expect(found(["HF_TOKEN": "\thf_x\n"]) == "hf_x")
        #expect(found(["HF_TOKEN_PATH": "/none", "HF_HOME": "/d"], files: ["/d/token": "d"]) == nil)
        #expect(found(["HF_HOME": "~/hf", "HOME": "/h"], files: ["/h/hf/token": "d"]) == "d")
    }

    @Test(
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
        arguments: [("1", nil), ("true", nil), ("YES", nil), ("on", nil), ("0", "a")]
    )
    func disabled(value: String, token: String?) {
        #expect(found(["HF_TOKEN": "a", "HF_HUB_DISABLE_IMPLICIT_TOKEN": value]) == token)
    }

    @Test("the hub is the environment's")
    func endpoint() {
        #expect(HuggingFaceToken.endpoint([:]) == "https://huggingface.co")
        #expect(HuggingFaceToken.endpoint(["HF_ENDPOINT": ""]) == "https://huggingface.co")
        #expect(HuggingFaceToken.endpoint(["HF_ENDPOINT": "http://m/x/"]) == "http://m/x/")
    }
}
