import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSinks

struct FileSinkHarness: SinkHarness {
    let directory: TemporaryDirectory
    var usesOpenat2 = true

    func sink() throws -> any Sink { try fileSink() }

    func fileSink(calls: SyncCalls = SyncCalls()) throws -> FileSink {
        try FileSink(
            path: directory.path + "/top/",
            time: SystemTime(),
            group: SyncGroup(calls: calls),
            usesOpenat2: usesOpenat2
        )
    }

    func content(of key: ObjectKey) throws -> [UInt8]? { try directory.read("top/".utf8 + key.bytes) }

    func leftovers() throws -> [String] { try directory.temporaries() }

    var unsafeKeys: [ObjectKey] {
        ["..", "a/../../b", "/etc/passwd", "a//b", "./a", "a/", "a\0b"].map { ObjectKey($0) }
    }
}

@Suite struct FileSinkConformanceTests {
    @Test(arguments: SinkConformance.allCases, [true, false])
    func `the file sink keeps the rules of all sinks`(check: SinkConformance, usesOpenat2: Bool) async throws {
        try await check.run(FileSinkHarness(directory: try TemporaryDirectory(), usesOpenat2: usesOpenat2))
    }
}
