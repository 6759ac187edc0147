import Testing

@testable import SluiceSources

@Suite struct PackedNamesTests {
    @Test func `names come back by byte, directories as if with their slash`() {
        var names = PackedNames()
        #expect(names.popFirst() == nil)
        for name in ["b", "a\u{FF}", "a-", "aa", "\u{1F600}", "a b"] { names.append(name.utf8, isDirectory: false) }
        names.append("a".utf8, isDirectory: true)
        names.append([0xFF, 0x01], isDirectory: false)
        names.sort()
        var sorted: [[UInt8]] = []
        while let name = names.popFirst() { sorted.append(name) }
        let expected: [[UInt8]] =
            ["a b", "a-", "a/", "aa", "a\u{FF}", "b", "\u{1F600}"].map { Array($0.utf8) } + [[0xFF, 0x01]]
        #expect(sorted == expected)
    }
}
