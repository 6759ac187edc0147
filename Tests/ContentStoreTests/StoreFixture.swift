import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceContentStore

/// A wall clock that a test moves, beside a monotonic one.
final class TestTime: TimeSource {
    private let state = Mutex((monotonic: Duration.zero, ahead: Duration.zero))

    func now() -> Duration { state.withLock { $0.monotonic } }
    func wallSeconds() -> Int64 { Int64(time(nil)) + state.withLock { $0.ahead.components.seconds } }
    func sleep(for duration: Duration) async throws { advance(by: duration) }

    func advance(by duration: Duration) {
        state.withLock { state in
            state.monotonic += duration
            state.ahead += duration
        }
    }
}

/// A store in a directory of its own, with operations that can be spoilt and clocks that can be moved.
final class StoreFixture: Sendable {
    let directory: TemporaryDirectory
    let operations: ScriptedOperations
    let time = TestTime()
    let notices = Locked<[StoreNotice]>([])
    let pool = BufferPool(retained: 1)

    init(operations: ScriptedOperations = ScriptedOperations()) throws {
        directory = try TemporaryDirectory(inMemory: true)
        self.operations = operations
    }

    var path: LocalPath { LocalPath(Array("\(directory.path)/store".utf8)) }

    var context: StoreContext {
        StoreContext(operations: operations, time: time) { [notices] notice in
            notices.withLock { $0.append(notice) }
        }
    }

    /// The same store over operations that nothing spoils: another host, or the next process.
    var healthy: StoreContext { StoreContext(operations: SystemOperations(), time: time) }

    func make(sharing: StoreSharing? = nil) throws -> ContentStore {
        try ContentStore.initialise(path, sharing: sharing, context)
    }

    /// Both clocks, the server's and this machine's.
    func advance(by duration: Duration) {
        operations.advance(by: duration)
        time.advance(by: duration)
    }

    /// Every file below the store, as paths from its root.
    func paths() throws -> [String] {
        try directory.files().filter { $0.hasPrefix("store/") }.map { String($0.dropFirst(6)) }
    }

    func blobs() throws -> [String] { try paths().filter { $0.hasPrefix("blobs/") } }

    func inode(_ path: String) throws -> UInt64 { try FileStatus(Array("\(self.path)/\(path)".utf8)).inode }

    func write(_ path: String, _ text: String) throws { try directory.write("store/\(path)", Array(text.utf8)) }

    /// Names under `blobs/` whose bytes hash to something else.
    func mismatches() throws -> [String] {
        try blobs().filter { path in
            let bytes = try directory.read("store/\(path)".utf8) ?? []
            return !path.hasSuffix(bytes.withUnsafeBytes { SHA256.hash($0) }.hex)
        }
    }
}

extension StoreWriter {
    /// Stages a text, as the pipeline would.
    func arrived(_ text: String, expected: Digest? = nil, pool: BufferPool) throws -> ArrivedBlob {
        let staged = try stage()
        var offset: UInt64 = 0
        for chunk in Chunk.chunks(of: Array(text.utf8), from: pool) {
            try staged.write(chunk, at: offset)
            offset += UInt64(chunk.count)
        }
        return ArrivedBlob(
            staged,
            digest: SHA256.hash(text),
            size: ByteCount(offset),
            expected: expected,
            origin: "https://host.example/\(text.prefix(8))"
        )
    }

    /// Stages and publishes texts.
    @discardableResult
    func put(_ texts: String..., pool: BufferPool) throws -> [Publication] {
        let blobs = try texts.map { try arrived($0, pool: pool) }
        return try publish(blobs).map { try $0.get() }
    }
}

/// A manifest of texts, each a file named after its place.
func manifest(_ name: String, _ revision: String = "1", _ texts: String...) throws -> Manifest {
    let files = texts.enumerated().map { index, text in
        Manifest.File(
            path: ObjectKey("file-\(index)"),
            size: ByteCount(UInt64(text.utf8.count)),
            digest: SHA256.hash(text)
        )
    }
    // Always the same bytes, so that its name can be told.
    return try Manifest(RevisionName(kind: "model", name: name, revision: revision), files, nonce: "test")
}

/// The `SluiceError` that `body` throws.
func failure(_ body: () throws -> Void, sourceLocation: SourceLocation = #_sourceLocation) throws -> SluiceError {
    do {
        try body()
    } catch let error as SluiceError {
        return error
    }
    Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    throw SystemFailure("expectation", 0)
}
