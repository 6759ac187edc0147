import SluicePipeline
import Testing

@testable import SluiceSources

@Suite("Names of the AI resource scheme")
struct AIRNameTests {
    @Test(
        "model, version, file and format are taken apart, and put together again",
        arguments: [
            ("urn:air:sdxl:checkpoint:civitai:827184", 827_184, nil, nil, nil),
            ("urn:air:sdxl:checkpoint:civitai:827184@2514310", 827_184, 2_514_310, nil, nil),
            ("urn:air:sdxl:lora:civitai:1@2+3", 1, 2, 3, nil),
            ("urn:air:sd1/x:text_encoders:civitai:1@2+3.safetensors", 1, 2, 3, "safetensors"),
            ("urn:air:other:other:civitai:1.ckpt", 1, nil, nil, "ckpt"),
            ("urn:air:a:b:civitai:9223372036854775807", UInt64(Int64.max), nil, nil, nil),
        ] as [(String, UInt64, UInt64?, UInt64?, String?)]
    )
    func parts(text: String, model: UInt64, version: UInt64?, file: UInt64?, format: String?) throws {
        let name = try AIRName(text)
        #expect(name.model == model)
        #expect(name.version == version)
        #expect(name.file == file)
        #expect(name.format == format)
        #expect(name.description == text)
    }

    @Test("scheme and source are the same in capitals")
    func capitals() throws {
        #expect(try AIRName("URN:Air:sdxl:lora:CivitAI:1@2") == AIRName("urn:air:sdxl:lora:civitai:1@2"))
    }

    @Test(
        "anything else is refused with its reason",
        arguments: [
            ("air:sdxl:lora:civitai:1", "urn:air:"), ("urn:air:", "four parts"), ("urn:air:a:b:civitai", "four parts"),
            ("urn:air:a:b:civitai:1:2", "four parts"), ("urn:air::b:civitai:1", "words"),
            ("urn:air:a b:c:civitai:1", "words"), ("urn:air:a:b:huggingface:org/name", "huggingface"),
            ("urn:air:a:b:civitai:", "a model is a number"), ("urn:air:a:b:civitai:0", "a model is a number"),
            ("urn:air:a:b:civitai:01", "a model is a number"), ("urn:air:a:b:civitai:-1", "a model is a number"),
            ("urn:air:a:b:civitai:9223372036854775808", "a model is a number"),
            ("urn:air:a:b:civitai:1@", "a version is a number"), ("urn:air:a:b:civitai:1@x", "a version is a number"),
            ("urn:air:a:b:civitai:1@2+", "a file is a number"), ("urn:air:a:b:civitai:1+2", "by its version"),
            ("urn:air:a:b:civitai:1@2.", "a format is a word"), ("urn:air:a:b:civitai:1@2.a.b", "a format is a word"),
            ("urn:air:a:b:civitai:1@2/x", "in this order"), ("urn:air:a:b:civitai:1@2@3", "in this order"),
            ("urn:air:a:b:civitai:1\u{301}", "in this order"),
        ]
    )
    func refused(text: String, reason: String) {
        let error = #expect(throws: SluiceError.self) { try AIRName(text) }
        #expect(error?.code == .usage)
        #expect(error?.message.contains(reason) == true, "\(String(describing: error))")
        #expect(error?.remedy != nil)
    }

    @Test("a name of Hugging Face is led there")
    func elsewhere() {
        let error = #expect(throws: SluiceError.self) { try AIRName("urn:air:a:b:huggingface:org/name") }
        #expect(error?.remedy?.contains("hf://") == true)
    }
}
