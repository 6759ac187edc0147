import Testing

@testable import SluiceS3

@Suite struct XMLDocumentParserTests {
    private func failure(_ text: String, limits: XMLDocumentParser.Limits = .init()) -> XMLFailure? {
        do {
            _ = try XMLDocumentParser.parse(Array(text.utf8), limits: limits)
            return nil
        } catch {
            return error as? XMLFailure
        }
    }

    @Test func aDocumentOfAnyNamespace() throws {
        let text = """
            \r\n  <?xml version="1.0" encoding="UTF-8"?>
            <s:Root xmlns:s="urn:other"><s:A>x&amp;y&#65;</s:A><s:A><![CDATA[<z>]]></s:A><s:N>18446744073709551616</s:N>
            </s:Root>
            """
        let root = try XMLDocumentParser.parse(Array(text.utf8))
        #expect(root.name == "Root")
        #expect(root.all("A").map(\.text) == ["x&yA", "<z>"])
        #expect(root.number(of: "N") == nil)
    }

    @Test(arguments: ["", " ", "\r\n \t\n"])
    func nothingIsEmpty(text: String) {
        #expect(failure(text) == .empty)
    }

    @Test func everyCutIsAFailure() {
        let text = "<?xml version=\"1.0\"?>\n<R><ETag>&quot;a&quot;</ETag><K>é</K></R>"
        let bytes = Array(text.utf8)
        for length in 0..<bytes.count {
            #expect(throws: XMLFailure.self, "cut at \(length)") {
                try XMLDocumentParser.parse(Array(bytes[..<length]))
            }
        }
        #expect(failure(text) == nil)
        #expect(failure("<R><ETag>a</ETag>") == .cut)
    }

    @Test(arguments: [
        "<!DOCTYPE html><html></html>",
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
        "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        "<!DOCTYPE lolz [<!ENTITY l \"lol\"><!ENTITY m \"&l;&l;&l;&l;&l;&l;&l;&l;&l;&l;\">]><lolz>&m;</lolz>",
    ])
    func aDocumentTypeIsRefused(text: String) {
        #expect(failure(text) == .documentType)
    }

    @Test func anUnknownEntityIsRefused() {
        if case .malformed = failure("<a>&nbsp;</a>") {} else { Issue.record("not malformed") }
    }

    @Test func depthTextElementsAndSizeAreBounded() {
        func isLimit(_ text: String, limits: XMLDocumentParser.Limits = .init()) -> Bool {
            if case .limit = failure(text, limits: limits) { true } else { false }
        }
        let deep = String(repeating: "<a>", count: 17) + String(repeating: "</a>", count: 17)
        #expect(isLimit(deep))
        let flat = String(repeating: "<a>", count: 16) + String(repeating: "</a>", count: 16)
        #expect(failure(flat) == nil)
        #expect(isLimit("<a>" + String(repeating: "x", count: 65_537) + "</a>"))
        #expect(failure("<a>" + String(repeating: "x", count: 65_536) + "</a>") == nil)
        #expect(isLimit("<a>" + String(repeating: "<b/>", count: 65_536) + "</a>"))
        var small = XMLDocumentParser.Limits()
        small.bytes = 100
        #expect(isLimit("<a>" + String(repeating: " ", count: 100) + "</a>", limits: small))
        #expect(isLimit("<a>" + String(repeating: "<b>x</b>", count: 1_100_000) + "</a>"))
    }

    @Test(arguments: ["<a>\u{1}</a>", "<a>&#1;</a>", "<a>&#x1F;</a>"])
    func aControlCharacterIsNamed(text: String) {
        if case .controlCharacter = failure(text) {} else { Issue.record("got \(String(describing: failure(text)))") }
    }

    @Test(arguments: ["<html><body>502</body>", "not xml", "<a></b>", "<a>1</a><b/>", "{}", "<a b=c/>"])
    func whatIsNotWellFormedIsAFailure(text: String) {
        #expect(failure(text) != nil)
    }

    @Test func cutsBetweenPushesDoNotMatter() throws {
        let bytes = Array("<R><K>\u{1F600}a&lt;b</K></R>".utf8)
        for cut in 0...bytes.count {
            let parser = XMLDocumentParser()
            try Array(bytes[..<cut]).withUnsafeBytes { try parser.push($0) }
            try Array(bytes[cut...]).withUnsafeBytes { try parser.push($0) }
            #expect(try parser.finish().text(of: "K") == "\u{1F600}a<b", "cut at \(cut)")
        }
    }
}
