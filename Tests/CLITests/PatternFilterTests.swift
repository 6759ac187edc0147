import ArgumentParser
import SluiceBytes
import Testing

@testable import SluiceCLI

@Suite("PatternFilter")
struct PatternFilterTests {
    @Test(
        "a pattern matches the keys it describes, and no others",
        arguments: [
            ("*.bin", "a.bin", true), ("*.bin", "x/y/a.bin", true), ("*.bin", "a.bin.txt", false),
            ("/*.bin", "a.bin", true), ("/*.bin", "x/a.bin", false), ("x/*.bin", "x/a.bin", true),
            ("x/*.bin", "y/x/a.bin", true), ("x/*.bin", "yx/a.bin", false), ("x/*.bin", "x/y/a.bin", false),
            ("x/**.bin", "x/y/a.bin", true), ("/x/**", "x/y/z", true), ("x/", "x/y/z", true), ("x/", "x", false),
            ("a?c", "abc", true), ("a?c", "a/c", false), ("a?c", "aéc", true), ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false), ("[!a-c]x", "dx", true), ("[]]x", "]x", true), ("[a-]x", "-x", true),
            ("*.{bin,txt}", "a.txt", true), ("*.{bin,t{x,s}t}", "a.tst", true), ("\\*", "*", true), ("\\*", "a", false),
            ("\\{a,b}", "{a,b}", true), ("**", "", true), ("*", "a/b", true), ("/*", "a/b", false),
        ]
    )
    func matches(_ pattern: String, _ key: String, _ expected: Bool) throws {
        #expect(try KeyPattern(pattern).matches(ObjectKey(key)) == expected)
    }

    @Test(
        "a broken pattern is refused",
        arguments: ["", "[a", "{a,b", "a\\", "[b-a]", String(repeating: "{a,b}", count: 9)]
    )
    func refused(_ pattern: String) {
        #expect(throws: KeyPattern.Refusal.self) { try KeyPattern(pattern) }
    }

    @Test("a pattern of many stars ends on a long key")
    func linear() throws {
        let pattern = try KeyPattern(String(repeating: "*a", count: 50) + "b")
        #expect(!pattern.matches(ObjectKey(String(repeating: "a", count: 1024))))
    }

    @Test("rules apply in command-line order, whichever option they came by")
    func order() throws {
        func filter(_ arguments: [String]) throws -> PatternFilter { try FilterOptions.parse(arguments).filter }
        let keep = ["-r", "--include", "keep.tmp", "--exclude", "*.tmp", "--include", "**"]
        #expect(try filter(keep).accepts(ObjectKey("keep.tmp")))
        #expect(try !filter(keep).accepts(ObjectKey("other.tmp")))
        #expect(try filter(keep).accepts(ObjectKey("a.bin")))
        let drop = ["-r", "--exclude", "*.tmp", "--include", "keep.tmp"]
        #expect(try !filter(drop).accepts(ObjectKey("keep.tmp")))
    }

    @Test("without a rule that matches, a key is taken unless something was included")
    func fallback() throws {
        #expect(PatternFilter().accepts(ObjectKey("a")))
        #expect(try FilterOptions.parse(["-r", "--exclude", "b"]).filter.accepts(ObjectKey("a")))
        #expect(try !FilterOptions.parse(["-r", "--include", "b"]).filter.accepts(ObjectKey("a")))
    }
}
