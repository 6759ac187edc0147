import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSources

struct FileSourceHarness: SourceHarness {
    let directory: TemporaryDirectory

    /// As a program that replaces a file does: a new inode under the old name.
    func put(_ bytes: [UInt8]) throws {
        try directory.write("next", bytes)
        try SystemFailure.check("rename") { rename(directory.path + "/next", directory.path + "/object") }
    }

    func remove() { unlink(directory.path + "/object") }

    func object() throws -> any SourceObject { try FileSource(path: directory.path + "/object").object(ObjectKey("")) }
}

@Suite(.timeLimit(.minutes(10))) struct FileSourceTests {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    @Test(arguments: SourceConformance.allCases)
    func `the file source keeps the rules of all sources`(check: SourceConformance) async throws {
        try await check.run(FileSourceHarness(directory: directory))
    }

    // MARK: - Listing

    @Test func `a tree is listed in the order of S3, names as bytes`() async throws {
        let names: [[UInt8]] =
            ["a/b", "a.b", "a-b", "b/c/d", "b/c.d", "z", "caf\u{E9}", "cafe\u{301}", "x\ny"]
            .map { Array($0.utf8) } + [[0xFF, 0xFE]]
        for name in names { try directory.write(name, [1]) }
        try directory.makeDirectory("empty".utf8)
        let (entries, skipped) = try await list()
        #expect(skipped.isEmpty)
        #expect(entries.map(\.relativeKey) == names.map { ObjectKey(bytes: $0) }.sorted())
        for entry in entries {
            // The location alone opens the object again, whatever bytes are in its name.
            let object = try FileSource(path: entry.location).object(ObjectKey(""))
            #expect(try await object.open(prefetch: 0, options: options).info.size == 1)
            #expect(entry.location.utf8.allSatisfy { $0 >= 0x20 })
        }
    }

    @Test func `one level has its directories as prefixes`() async throws {
        try directory.write("a/b", [1])
        try directory.write("c", [1, 2])
        let (entries, _) = try await list(recursive: false)
        #expect(entries.map(\.relativeKey.description) == ["a/", "c"])
        #expect(entries.map(\.isPrefix) == [true, false])
        #expect(entries.map(\.size) == [nil, 2])
    }

    @Test func `links are followed, and those that cannot be are named`() async throws {
        try directory.write("d/f", [1, 2])
        try directory.link("to-file", to: "d/f")
        try directory.link("to-dir", to: "d")
        try directory.link("dangling", to: "nowhere")
        try directory.link("self", to: "self")
        try directory.link("d/up", to: "..")
        mkfifo(directory.path + "/pipe", 0o600)
        let (entries, skipped) = try await list()
        #expect(entries.map(\.relativeKey.description) == ["d/f", "to-dir/f", "to-file"])
        #expect(entries.map(\.size) == [2, 2, 2])
        let reasons = skipped.map { "\($0)".replacingPrefix(directory.path + "/") }.sorted()
        #expect(
            reasons == [
                "d/up: a symbolic link leads in a circle, back to \(directory.path)",
                "dangling: a symbolic link leads nowhere",
                "pipe: a named pipe has no bytes to copy",
                "self: a symbolic link leads in a circle",
                "to-dir/up: a symbolic link leads in a circle, back to \(directory.path)",
            ]
        )
    }

    @Test func `a missing root is an error, never an empty listing`() async throws {
        let source = try FileSource(path: directory.path + "/missing")
        await #expect(throws: SluiceError.self) {
            for try await _ in source.list(recursive: true) {}
        }
        await #expect(throws: SluiceError.self) { _ = try await source.isSingleObject() }
    }

    @Test func `a single file lists itself`() async throws {
        try directory.write("one", [1, 2, 3])
        let source = try FileSource(path: directory.path + "/one")
        #expect(try await source.isSingleObject())
        var items: [SourceEntry] = []
        for try await case .entry(let entry) in source.list(recursive: true) { items.append(entry) }
        #expect(items.map(\.baseName.description) == ["one"])
        #expect(items.map(\.relativeKey.bytes) == [[]])
    }

    // MARK: - Files that are not what they seem (F-04, F-05)

    @Test func `a file that shrinks while it is read is an error with both sizes`() async throws {
        try directory.write("f", SampleBytes.make(3 << 20))
        let object = try FileSource(path: directory.path).object(ObjectKey("f"))
        let info = try await object.open(prefetch: 0, options: options).info
        let stream = try await object.read(ByteRange(0, 3 << 20), of: info, options: options)
        _ = try await stream.next()
        #expect(truncate(directory.path + "/f", 1_500_000) == 0)
        let error = try await changed { _ = try await stream.gathered() }
        #expect(error.message.contains("3145728 bytes") && error.message.contains("1500000"))
    }

    @Test func `a file that grows while it is read is noticed at the end`() async throws {
        try directory.write("f", SampleBytes.make(1000))
        let object = try FileSource(path: directory.path).object(ObjectKey("f"))
        let info = try await object.open(prefetch: 0, options: options).info
        let read = try await object.read(ByteRange(0, 1000), of: info, options: options).gathered()
        #expect(read == SampleBytes.make(1000))
        try directory.write("f", SampleBytes.make(1001))
        let error = try await changed { try await object.confirmUnchanged(info) }
        #expect(error.message.contains("1000 bytes") && error.message.contains("1001 bytes"))
    }

    @Test func `a file of proc that says 0 and has bytes is read to its end`() async throws {
        let object = try FileSource(path: "/proc/version").object(ObjectKey(""))
        let opened = try await object.open(prefetch: 0, options: options)
        #expect(opened.info.size == nil && !opened.info.supportsRanges)
        let bytes = try #require(try await opened.stream?.gathered())
        #expect(bytes.starts(with: "Linux version".utf8))
    }

    @Test(arguments: ["pipe", "directory"])
    func `what is no regular file is refused without waiting`(kind: String) async throws {
        mkfifo(directory.path + "/pipe", 0o600)
        try directory.makeDirectory("directory".utf8)
        let object = try FileSource(path: directory.path).object(ObjectKey(kind))
        let error = try await #require(throws: SluiceError.self) {
            try await object.open(prefetch: 0, options: options)
        }
        #expect(error.code == .unsupported && error.remedy != nil)
    }

    @Test func `a limit waits before the bytes are read`() async throws {
        try directory.write("f", SampleBytes.make(200_000))
        let time = ManualTime(advancesItself: true)
        let object = try FileSource(path: directory.path, time: time).object(ObjectKey("f"))
        let info = try await object.open(prefetch: 0, options: options).info
        let paced = ReadOptions(pool: BufferPool(), gate: SlowGate())
        _ = try await object.read(ByteRange(0, 200_000), of: info, options: paced).gathered()
        #expect(time.slept.count == 4)
    }

    // MARK: - Steps

    private var options: ReadOptions { ReadOptions(pool: BufferPool()) }

    private func list(recursive: Bool = true) async throws -> (entries: [SourceEntry], skipped: [SluiceError]) {
        var entries: [SourceEntry] = []
        var skipped: [SluiceError] = []
        for try await item in try FileSource(path: directory.path + "/").list(recursive: recursive) {
            switch item {
            case .entry(let entry): entries.append(entry)
            case .skipped(let error): skipped.append(error)
            }
        }
        return (entries, skipped)
    }

    private func changed(_ body: () async throws -> Void) async throws -> SluiceError {
        let error = try await #require(throws: SluiceError.self) { try await body() }
        #expect(error.code == .sourceChanged && error.retry == .restart)
        return error
    }
}

private struct SlowGate: FlowGate {
    let bytesPerSecond: UInt64? = 1000

    func book(_ count: Int) -> Duration { .milliseconds(count) }
}

extension String {
    fileprivate func replacingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : self
    }
}
