import SluiceBytes
import SluicePipeline
import Testing

@Suite struct SafeNameTests {
    @Test(arguments: [
        ("", "empty"), ("/etc/passwd", "absolute"), ("a/", "marks a directory"), ("a//b", "'//'"), (".", "'.'"),
        ("..", "'..'"), ("a/../b", "'..'"), ("../a", "'..'"), ("a/..", "'..'"), ("a/./b", "'.'"), ("a\0b", "NUL"),
        ("x/" + String(repeating: "n", count: 256), "256 bytes"),
        (String(repeating: "abcdefg/", count: 512) + "z", "4097 bytes"),
        (".model.bin.sluice-0123456789abcdef.part", "temporary file"),
    ])
    func `a key that does not map to a safe path is refused with its reason`(key: String, reason: String) throws {
        let error = try #require(throws: SluiceError.self) { try SafeName(ObjectKey(key)) }
        #expect(error.code == .unsafeName)
        #expect(error.message.contains(reason))
    }

    @Test(arguments: [
        "a", "a b", "a/b/c.bin", "...", "..a", "-rf", "C:\\x", "a\\..\\b", "caf\u{E9}", "cafe\u{301}", "\u{1F600}",
        "a\nb", "%2e%2e", String(repeating: "n", count: 255), ".part", ".sluice-0123456789abcdef.part",
    ])
    func `every other byte is part of a name and stays as it is`(key: String) throws {
        let name = try SafeName(ObjectKey(key))
        #expect(name.components.joined(separator: [0x2F]).elementsEqual(key.utf8))
    }

    @Test func `bytes that are no UTF-8 are kept`() throws {
        #expect(try SafeName(ObjectKey(bytes: [0xFF, 0x2F, 0x80])).components == [[0xFF], [0x80]])
    }

    @Test func `no random name leaves the root, and no two keys are one path`() {
        let alphabet: [[UInt8]] = [
            "/", ".", "..", "a", "\\", "//", "\0", "%2e", "C:", "\u{202E}", "~", " ", "../", "/..",
        ].map { Array($0.utf8) }
        var generator = SplitMix(seed: 20_261_122)
        var accepted: [[UInt8]: ObjectKey] = [:]
        for _ in 0..<100_000 {
            let length = Int(generator.next() % 8)
            let bytes = (0..<length).flatMap { _ in alphabet[Int(generator.next() % UInt64(alphabet.count))] }
            guard let name = try? SafeName(ObjectKey(bytes: bytes)) else { continue }
            for component in name.components {
                let isHarmless =
                    !component.isEmpty && component != [0x2E] && component != [0x2E, 0x2E]
                    && !component.contains(0x2F) && !component.contains(0)
                if !isHarmless { Issue.record("\(ObjectKey(bytes: bytes)) leaves the root") }
            }
            let path = Array(name.components.joined(separator: [0x2F]))
            let other = accepted.updateValue(ObjectKey(bytes: bytes), forKey: path)
            if let other, other.bytes != bytes { Issue.record("\(other) and \(ObjectKey(bytes: bytes)) are one path") }
        }
        #expect(accepted.count > 1000)
    }

    @Test(arguments: [
        ("model.bin", "model.bin"), ("../../etc/passwd", "passwd"), ("..\\..\\evil.exe", "evil.exe"),
        ("/abs/x.gguf", "x.gguf"), (".bashrc", "bashrc"), ("...", "download"), ("", "download"), ("a/", "download"),
        ("a\r\nb\0c", "abc"), ("gpj\u{202E}exe.x", "gpjexe.x"), (" x ", "x"), ("x. .", "x"),
        ("caf\u{E9}.bin", "caf\u{E9}.bin"),
    ])
    func `a proposed name becomes a harmless one`(proposed: String, expected: String) {
        #expect(SafeName.proposed(ObjectKey(proposed)).bytes == Array(expected.utf8))
    }

    @Test func `a long proposed name is cut at 200 bytes and keeps its extension`() {
        let name = SafeName.proposed(ObjectKey(String(repeating: "\u{1F600}", count: 100) + ".safetensors"))
        #expect(name.bytes.count <= 200 && name.bytes.count > 195)
        #expect(name.bytes.suffix(12) == Array(".safetensors".utf8)[...])
        #expect(String(validating: name.bytes, as: UTF8.self) != nil)
    }

    @Test(arguments: [1, 100, 225, 226, 255])
    func `a temporary name fits beside a target of any length`(length: Int) {
        let base = [UInt8](repeating: 0x6E, count: length)
        let name = TemporaryName.make(for: base, random: 0xFEDC_BA98_7654_3210)
        #expect(name.count <= 255)
        #expect(TemporaryName.isOne(name) && TemporaryName.isOne(name, for: base))
        #expect(!TemporaryName.isOne(name, for: [0x78] + base.dropLast()))
        #expect(!TemporaryName.isOne(base))
    }
}

/// SplitMix64: a seed replays the run.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
