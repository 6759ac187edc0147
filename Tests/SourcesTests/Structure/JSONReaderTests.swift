import Testing

@testable import SluiceSources

@Suite("JSON of strangers")
struct JSONReaderTests {
    /// What skipping the text and looking for its end comes to; nil: it is JSON.
    private func fault(_ text: String) -> StructureFault? {
        var reader = JSONReader(Array(text.utf8))
        do {
            try reader.skip()
            try reader.end()
            return nil
        } catch {
            guard case .bad(let fault) = error else { return nil }
            return fault
        }
    }

    @Test(
        "is passed over if it is well-formed",
        arguments: [
            "{}", "[]", " {\"a\" : [1, -2.5e+3, true, false, null, {\"b\":\"\\u00e9\"}] }\n", "0", "\"x\"", "-0.1E-2",
            "[[],[[]],{}]", "\"\\ud83d\\ude00\"",
        ]
    )
    func good(_ text: String) {
        #expect(fault(text) == nil)
    }

    @Test(
        "is refused if it is not, with the place",
        arguments: [
            ("", 0), ("{", 1), ("{\"a\"}", 4), ("{\"a\":1,}", 7), ("[1,]", 3), ("[1 2]", 3), ("01", 1), ("1.", 2),
            ("-", 1), ("tru", 0), ("\"a", 2), ("\"\u{1}\"", 1), ("\"\\x\"", 1), ("\"\\ud800\"", 1), ("\"\\u12\"", 1),
            ("{}x", 2), ("{1:2}", 1), ("]", 0), ("[}", 1), ("nan", 0), ("\"\\", 2), ("\"\\u\"", 1),
        ] as [(String, Int)]
    )
    func bad(_ text: String, _ place: Int) throws {
        let found = try #require(fault(text))
        #expect(found.what == "JSON, byte \(place)" && !found.expected.isEmpty && !found.found.isEmpty)
    }

    @Test("is refused if it is not UTF-8")
    func encoding() {
        var reader = JSONReader([0x22, 0xFF, 0x22])
        #expect(throws: StructureStop.self) { try reader.skip() }
    }

    @Test("may nest 128 levels deep, and neither one more nor a million use up the stack")
    func depth() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            func nested(_ levels: Int) -> String {
                String(repeating: open, count: levels) + "1" + String(repeating: close, count: levels)
            }
            #expect(fault(nested(128)) == nil)
            #expect(fault(nested(129))?.expected == "at most 128 levels")
            #expect(fault(nested(10_000))?.expected == "at most 128 levels")
            #expect(fault(String(repeating: open, count: 1_000_000))?.expected == "at most 128 levels")
        }
    }

    @Test("has numbers with fractions, as far as 64 bits hold them")
    func fractions() throws {
        for (text, value) in [("0", 0), (" -2.5e+3", -2_500), ("6775430.35", 6_775_430.35), ("1e-999", 0)] {
            var reader = JSONReader(Array(text.utf8))
            #expect(try reader.real() == value)
        }
        for text in ["1e999", "-1e999", "nan", "\"1\"", "", "-", "01", "1.", "null", "+1"] {
            var reader = JSONReader(Array(text.utf8))
            #expect(throws: StructureStop.self) {
                _ = try reader.real()
                try reader.end()
            }
        }
    }

    @Test("has true, false and null, and no other words")
    func words() throws {
        var reader = JSONReader(Array("[true,false, null ,7]".utf8))
        var found: [String] = []
        try reader.array { (reader) throws(StructureStop) in
            if try reader.null() {
                found.append("null")
            } else if reader.peek() == UInt8(ascii: "7") {
                found.append("\(try reader.unsigned())")
            } else {
                found.append("\(try reader.truth())")
            }
        }
        #expect(found == ["true", "false", "null", "7"])
        for text in ["1", "\"true\"", "tru", "fals", "", "null"] {
            var reader = JSONReader(Array(text.utf8))
            #expect(throws: StructureStop.self) { try reader.truth() }
        }
        var bad = JSONReader(Array("nul".utf8))
        #expect(throws: StructureStop.self) { try bad.null() }
    }

    @Test("has whole numbers up to 2^64 - 1, exactly")
    func numbers() throws {
        for (text, value) in [
            ("0", 0), (" 18446744073709551615", UInt64.max), ("9007199254740993", 9_007_199_254_740_993),
        ] {
            var reader = JSONReader(Array(text.utf8))
            #expect(try reader.unsigned() == value)
        }
        for text in ["18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "99999999999999999999999", "", "-", "00"] {
            var reader = JSONReader(Array(text.utf8))
            #expect(throws: StructureStop.self) { try reader.unsigned() }
        }
    }

    @Test("resolves escapes, and keeps names that only look alike apart")
    func strings() throws {
        var reader = JSONReader(Array("\"a\\n\\\"\\u00e9\\ud83d\\ude00\\/\"".utf8))
        #expect(try reader.string() == Array("a\n\"é😀/".utf8))
        var names: [[UInt8]] = []
        reader = JSONReader(Array("{\"\\u00e9\":1,\"e\\u0301\":2,\"\\u00e9\":3}".utf8))
        try reader.object { (reader, name) throws(StructureStop) in
            names.append(name)
            try reader.skip()
        }
        #expect(names.count == 3 && names[0] != names[1] && names[0] == names[2])
    }
}
