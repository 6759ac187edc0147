/// What a conformance check found wrong: one sentence. Thrown, so that the suites need no test framework.
public struct ConformanceFailure: Error, CustomStringConvertible {
    /// What was expected, and what was found.
    public let description: String

    /// A failure with its sentence.
    public init(_ description: String) {
        self.description = description
    }

    /// Throws `sentence` unless `condition` holds.
    static func require(_ condition: Bool, _ sentence: @autoclosure () -> String) throws {
        if !condition { throw ConformanceFailure(sentence()) }
    }
}

/// Bytes that tell where they come from: any two windows of eight bytes differ.
public enum SampleBytes {
    /// `count` bytes of the pattern that `seed` begins.
    public static func make(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        var word = seed &* 0x9E37_79B9_7F4A_7C15
        while bytes.count < count {
            word = word &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let mixed = (word ^ (word >> 31)) &* 0xBF58_476D_1CE4_E5B9
            withUnsafeBytes(of: mixed) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}
