import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceSinks

@Suite(.timeLimit(.minutes(10))) struct SyncGroupTests {
    let directory: TemporaryDirectory
    let harness: FileSinkHarness

    init() throws {
        directory = try TemporaryDirectory()
        harness = FileSinkHarness(directory: directory)
    }

    @Test func `commits that arrive during a sync are made durable by one syncfs`() async throws {
        let (sink, outcomes) = try await commitTogether(17)
        #expect(outcomes.allSatisfy { $0 == nil })
        // The first file alone; sixteen with one call; the root was made in its parent, then synced once per round.
        #expect(sink.group.counters.counts == SyncCounts(files: 1, fileSystems: 1, directories: 3))
        #expect(try directory.files().count == 17)
        #expect(try directory.temporaries().isEmpty)
    }

    @Test func `fewer than eight files are synced one by one`() async throws {
        let (sink, outcomes) = try await commitTogether(8)
        #expect(outcomes.allSatisfy { $0 == nil })
        #expect(sink.group.counters.counts == SyncCounts(files: 8, fileSystems: 0, directories: 3))
    }

    @Test func `a failed syncfs is traced to the file that it is about`() async throws {
        let hit = Mutex<UInt64>(0)
        var calls = SyncCalls()
        calls.fileSystem = { _ throws(SystemFailure) in throw SystemFailure("syncfs", EIO) }
        calls.file = { file throws(SystemFailure) in
            if try file.status().size == 5 {
                hit.withLock { $0 += 1 }
                throw SystemFailure("fsync", EIO)
            }
        }
        let (_, outcomes) = try await commitTogether(17, calls: calls)
        #expect(outcomes.count { $0 != nil } == 1)
        let error = try #require(outcomes[4])
        #expect(error.code == .fileSystem && error.retry == .restart)
        // Never asked twice: the second answer would be a lie.
        #expect(hit.withLock { $0 } == 1)
        #expect(try directory.temporaries().isEmpty)
        #expect(try directory.files().count == 16)
    }

    @Test func `EIO at fsync discards the temporary and starts over`() async throws {
        var calls = SyncCalls()
        calls.file = { _ throws(SystemFailure) in throw SystemFailure("fsync", EIO) }
        let sink = try harness.fileSink(calls: calls)
        let session = try await begin(sink, "x", 3)
        let error = try await fails(.fileSystem) { try await commit(session, 3) }
        #expect(error.retry == .restart)
        #expect(error.message.contains("durable"))
        try await fails(.fileSystem) { try await commit(session, 3) }
        #expect(sink.group.counters.counts.files == 1)
        #expect(try directory.files().isEmpty)
    }

    @Test func `EIO at the sync of a directory is told to every file in it`() async throws {
        let armed = Mutex(false)
        var calls = SyncCalls()
        calls.directory = { _ throws(SystemFailure) in
            if armed.withLock({ $0 }) { throw SystemFailure("fsync", EIO) }
        }
        let sink = try harness.fileSink(calls: calls)
        let session = try await begin(sink, "x", 3)
        armed.withLock { $0 = true }
        let error = try await fails(.fileSystem) { try await commit(session, 3) }
        #expect(error.retry == .restart && error.message.contains("name"))
    }

    @Test func `a large file is on its way to the disk before its end, a small one waits for its sync`() async throws {
        let begun = Atomic(0)
        var calls = SyncCalls()
        calls.startWriteBack = { _ in begun.add(1, ordering: .relaxed) }
        let sink = try harness.fileSink(calls: calls)
        let step = WriteBackPace.step
        let size = 2 * step + 1
        let info = ObjectInfo(size: UInt64(size), pin: .weak(size: nil, modified: nil), supportsRanges: true)
        let target = try sink.target(ObjectKey("large"))
        let session = try await target.begin(WritePlan(size: UInt64(size), partSize: 1 << 20, info: info))
        var offset = 0
        // From the end: several lanes write a file in no order.
        for chunk in Chunk.chunks(of: SampleBytes.make(size), from: BufferPool()).reversed() {
            try await session.write(chunk, at: UInt64(size - offset - chunk.count))
            offset += chunk.count
        }
        try await commit(session, size)
        #expect(begun.load(ordering: .relaxed) == 2 && sink.group.counters.counts.files == 1)
        _ = try await begin(sink, "small", 1 << 20)
        #expect(begun.load(ordering: .relaxed) == 2)
    }

    @Test(arguments: [(EBUSY, true), (ENOSPC, false)])
    func `room that is refused for a moment is asked for again, a full disk keeps nothing`(number: Int32, stays: Bool)
        async throws
    {
        let refusals = Atomic(1)
        var calls = SyncCalls()
        calls.reserve = { (file, size) throws(SystemFailure) in
            if refusals.exchange(0, ordering: .relaxed) > 0 { throw SystemFailure("fallocate", number) }
            try file.reserve(size)
        }
        let sink = try harness.fileSink(calls: calls)
        let size = 2 << 20
        let info = ObjectInfo(size: UInt64(size), pin: .weak(size: nil, modified: nil), supportsRanges: true)
        let plan = WritePlan(size: UInt64(size), partSize: 1 << 20, info: info)
        let session = try await sink.target(ObjectKey("k")).begin(plan)
        let error = try #require(await #expect(throws: SluiceError.self) { try await session.prepare() })
        #expect(error.retry.isAnotherTry == stays)
        guard stays else {
            #expect(try directory.files().isEmpty)
            return
        }
        try await session.prepare()
        for (index, chunk) in Chunk.chunks(of: SampleBytes.make(size), from: BufferPool()).enumerated() {
            try await session.write(chunk, at: UInt64(index * BufferPool.chunkCapacity))
        }
        try await commit(session, size)
    }

    // MARK: - Steps

    /// Commits files of 1, 2, 3, … bytes; the first one's sync lasts until all others wait.
    private func commitTogether(
        _ count: Int,
        calls: SyncCalls = SyncCalls()
    ) async throws -> (FileSink, [SluiceError?]) {
        let group = Mutex<SyncGroup?>(nil)
        let isFirst = Atomic(true)
        var held = calls
        held.file = { [file = calls.file] (target) throws(SystemFailure) in
            if isFirst.exchange(false, ordering: .relaxed) {
                while group.withLock({ $0?.waitingCount ?? 0 }) < count - 1 { sched_yield() }
            }
            try file(target)
        }
        let sink = try harness.fileSink(calls: held)
        group.withLock { $0 = sink.group }
        var sessions: [any SinkSession] = []
        for index in 1...count { sessions.append(try await begin(sink, "f\(index)", index)) }
        let outcomes = await withTaskGroup(of: (Int, SluiceError?).self) { tasks in
            for (index, session) in sessions.enumerated() {
                // The first one blocks: on Swift's own pool it could keep those away that it waits for.
                tasks.addTask(executorPreference: BlockingExecutor.shared) {
                    do {
                        try await commit(session, index + 1)
                        return (index, nil)
                    } catch {
                        return (index, error as? SluiceError ?? SluiceError(.internalFault, "\(error)"))
                    }
                }
            }
            return await tasks.reduce(into: [SluiceError?](repeating: nil, count: count)) { $0[$1.0] = $1.1 }
        }
        group.withLock { $0 = nil }
        return (sink, outcomes)
    }

    private func begin(_ sink: FileSink, _ key: String, _ size: Int) async throws -> any SinkSession {
        let info = ObjectInfo(size: UInt64(size), pin: .weak(size: nil, modified: nil), supportsRanges: true)
        let plan = WritePlan(size: UInt64(size), partSize: 1 << 20, info: info)
        let session = try await sink.target(ObjectKey(key)).begin(plan)
        let chunk = Chunk.chunks(of: SampleBytes.make(size), from: BufferPool())[0]
        try await session.write(chunk, at: 0)
        return session
    }

    private func commit(_ session: any SinkSession, _ size: Int) async throws {
        _ = try await session.commit(CommitRequest(size: UInt64(size), sha256: nil, receipts: []))
    }
}
