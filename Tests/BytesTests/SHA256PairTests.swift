import Testing

@testable import SluiceBytes

/// Two hashes side by side are what each is alone. The known answers are those of FIPS 180-4.
@Suite("Two SHA-256 side by side") struct SHA256PairTests {
    /// SplitMix64: a failing case can be repeated.
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            return word ^ (word >> 31)
        }
    }

    private static let answers = [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
        (
            "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
        ),
        (
            String(repeating: "a", count: 1_000_000),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        ),
    ]

    private static let bytes: [UInt8] = {
        var numbers = Numbers(state: 1)
        return (0..<8192).map { _ in UInt8.random(in: 0...255, using: &numbers) }
    }()

    @Test(arguments: answers, answers)
    func `the known answers come out on both sides`(first: (String, String), second: (String, String)) {
        var hashes = (SHA256(), SHA256())
        Array(first.0.utf8).withUnsafeBytes { firstBytes in
            Array(second.0.utf8).withUnsafeBytes { secondBytes in
                SHA256.update(&hashes.0, firstBytes, &hashes.1, secondBytes)
            }
        }
        #expect(hashes.0.finalized().hex == first.1 && hashes.1.finalized().hex == second.1)
    }

    /// One step of a test: the same bytes into the two that go together and into two that OpenSSL has for itself.
    private struct Pairs {
        var together = (SHA256(), SHA256())
        var alone = (SHA256(), SHA256())

        mutating func take(_ first: Range<Int>, _ second: Range<Int>) {
            bytes.withUnsafeBytes { all in
                let firstBytes = UnsafeRawBufferPointer(rebasing: all[first])
                let secondBytes = UnsafeRawBufferPointer(rebasing: all[second])
                SHA256.update(&together.0, firstBytes, &together.1, secondBytes)
                alone.0.update(firstBytes)
                alone.1.update(secondBytes)
            }
        }

        var areSame: Bool {
            together.0.savedState == alone.0.savedState && together.1.savedState == alone.1.savedState
                && together.0.finalized() == alone.0.finalized() && together.1.finalized() == alone.1.finalized()
        }
    }

    @Test func `every length beside every other is the hash of each alone`() {
        // From no block to beyond the fourth, and starts that no instruction is aligned to.
        for first in 0...260 {
            for second in stride(from: first % 7, through: 260, by: 7) {
                var pairs = Pairs()
                pairs.take(first..<2 * first, second + 1..<2 * second + 1)
                #expect(pairs.areSame, "\(first) and \(second)")
            }
        }
    }

    @Test func `however both are cut, each is the hash of its bytes`() {
        var numbers = Numbers(state: 2)
        for number in 0..<3000 {
            var pairs = Pairs()
            for _ in 0..<Int.random(in: 1...6, using: &numbers) {
                let starts = (Int.random(in: 0..<4096, using: &numbers), Int.random(in: 0..<4096, using: &numbers))
                // Short ones leave blocks unfinished; long ones go over many.
                let limit = [3, 64, 200, 4096].randomElement(using: &numbers) ?? 64
                let first = Int.random(in: 0...limit, using: &numbers)
                let second = Bool.random(using: &numbers) ? first : Int.random(in: 0...limit, using: &numbers)
                pairs.take(starts.0..<starts.0 + first, starts.1..<starts.1 + second)
            }
            #expect(pairs.areSame, "case \(number)")
        }
    }

    @Test func `the same bytes on both sides are the same hash`() {
        var pairs = Pairs()
        pairs.take(5..<4101, 5..<4101)
        #expect(pairs.areSame && pairs.together.0.savedState == pairs.together.1.savedState)
    }

    @Test func `a hash goes on alone, beside another, and alone again`() {
        var pairs = Pairs()
        pairs.take(0..<64, 0..<0)
        pairs.take(64..<640, 0..<1280)
        pairs.take(640..<640, 1280..<1300)
        pairs.take(640..<4096, 1300..<8192)
        #expect(pairs.areSame)
        Self.bytes.withUnsafeBytes { all in
            let first = SHA256.hash(UnsafeRawBufferPointer(rebasing: all[..<4096]))
            #expect(pairs.together.0.finalized() == first && pairs.together.1.finalized() == SHA256.hash(all))
        }
    }

    /// The count is two words of 32 bits: here the lower one, and both, are at their end.
    @Test(arguments: [(UInt32(0), UInt32.max - 511), (7, .max - 1023), (.max, .max - 511)])
    func `a count of bits beyond a word is the one that OpenSSL has`(high: UInt32, low: UInt32) throws {
        var state = SHA256().savedState
        for (index, word) in [high, low].enumerated() {
            for byte in 0..<4 { state[33 + 4 * index + byte] = UInt8(truncatingIfNeeded: word >> (24 - 8 * byte)) }
        }
        let far = try #require(SHA256(savedState: state))
        var pairs = Pairs(together: (far, SHA256()), alone: (far, SHA256()))
        pairs.take(1..<300, 2..<301)
        #expect(pairs.areSame)
        pairs = Pairs(together: (SHA256(), far), alone: (SHA256(), far))
        pairs.take(0..<4096, 4000..<8000)
        #expect(pairs.areSame)
    }
}
