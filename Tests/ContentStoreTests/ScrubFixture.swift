import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceContentStore

/// A generator whose numbers a failing test can repeat.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(_ seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        // SplitMix64.
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}

extension StoreFixture {
    static func blobPath(_ text: String) -> String {
        let hex = SHA256.hash(text).hex
        return "blobs/sha256/\(hex.prefix(2))/\(hex)"
    }

    /// Flips a bit of a file in place, as a disk does.
    func flip(_ path: String, bit: Int) throws {
        var bytes = try #require(try directory.read("store/\(path)".utf8))
        bytes[bit / 8] ^= UInt8(1 << (bit % 8))
        let file = try OwnedDescriptor.open(directory.bytes("store/\(path)".utf8), O_WRONLY)
        try bytes.withUnsafeBytes { try file.write($0, at: 0) }
    }

    /// A store with these texts in one manifest each, named after the text.
    func fill(_ texts: [String]) throws -> ContentStore {
        let store = try make()
        let writer = try StoreWriter(store, tool: "test")
        for text in texts {
            try writer.put(text, pool: pool)
            let name = String(text.prefix(8))
            #expect(try writer.commit(manifest(name, "1", text), branch: "main") == .committed)
        }
        try writer.end()
        advance(by: StoreFixture.grace)
        return store
    }

    /// A scrub by a process of its own.
    func scrub(
        _ options: ScrubOptions = StoreFixture.careful,
        deliver: (ScrubReport) throws -> Void = { _ in }
    ) async throws -> ScrubReport {
        let writer = try StoreWriter(ContentStore.open(path, context), tool: "scrub")
        defer { try? writer.end() }
        return try await Scrubber(writer, options).run(deliver)
    }

    /// Every blob is a checkpoint.
    static var careful: ScrubOptions {
        var options = ScrubOptions()
        options.checkpoint = .zero
        return options
    }

    /// The one manifest of a model.
    func manifestPath(_ name: String) throws -> String {
        try #require(try paths().first { $0.hasPrefix("refs/model/\(name)/") })
    }

    func quarantine() throws -> [String] {
        try paths().filter { $0.hasPrefix("quarantine/") && !$0.hasSuffix(".json") }
    }

    /// Names, sizes, modes and bytes of everything.
    func picture() throws -> [String] {
        try paths().map { path in
            let status = try FileStatus(directory.bytes("store/\(path)".utf8))
            let bytes = try directory.read("store/\(path)".utf8) ?? []
            return "\(path) \(status.inode) \(status.permissions) \(bytes.withUnsafeBytes { SHA256.hash($0) }.hex)"
        }
    }
}

extension ScrubReport {
    func paths(_ what: ScrubFinding.What) -> [String] { findings.filter { $0.what == what }.map(\.path) }
}
