import Testing

@testable import SluiceSources

@Suite("What a body begins with")
struct BeginCheckTests {
    @Test(
        "pages and JSON are told from models",
        arguments: [
            ("<!DOCTYPE html><html>", "safetensors", true),
            ("\u{FEFF}\r\n  <HTML lang=en>", "bin", true),
            ("<!doctype htm", "gguf", false),
            ("<xml>", "gguf", false),
            ("{\"error\": \"Please sign in\"}", "gguf", true),
            ("{\n  \"error\":\n \"Please sign in\"}", "safetensors", true),
            ("{\"error\": \"Please sign in\"}", "bin", false),
            ("{\"a\":1}", "gguf", false),
            ("{\0\0\0\0\0\0\0{\"__metadata__\"", "safetensors", false),
            ("GGUF\u{3}\0\0\0", "gguf", false),
            ("PK\u{3}\u{4}", "zip", false),
            ("", "zip", false),
        ] as [(String, String, Bool)]
    )
    func page(begin: String, ending: String, isPage: Bool) {
        #expect((BeginCheck.page(Array(begin.utf8), ending: ending) != nil) == isPage)
    }
}

@Suite("Trust in ranges")
struct RangeTrustTests {
    @Test("ends with two wrong answers in a row, of one object")
    func strikes() {
        let trust = RangeTrust()
        #expect(!trust.noteWrong("a"))
        trust.noteRight("a")
        #expect(!trust.noteWrong("a"))
        #expect(!trust.noteWrong("b"))
        #expect(!trust.isBroken("a"))
        #expect(trust.noteWrong("a"))
        trust.noteRight("a")
        #expect(trust.isBroken("a"))
        #expect(!trust.isBroken("b"))
    }

    @Test("remembers a bounded number of objects")
    func bounded() {
        let trust = RangeTrust()
        for index in 0..<10_000 { _ = trust.noteWrong("\(index)") }
        #expect(!trust.noteWrong("0"), "forgotten, and found out anew")
    }
}
