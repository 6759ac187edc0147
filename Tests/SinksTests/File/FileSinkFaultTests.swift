import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Synchronization
import Testing

@testable import SluiceSinks

@Suite(.timeLimit(.minutes(10))) struct FileSinkFaultTests {
    // MARK: - A full disk (L-01, L-02): a file system of its own, which only root can mount

    static let canMount: Bool = {
        guard let directory = try? TemporaryDirectory(), mountMemory(directory.path, "size=64k") else {
            print("SKIPPED: the tests of a full disk need to mount a tmpfs, which this process may not")
            return false
        }
        umount2(directory.path, Int32(MNT_DETACH))
        return true
    }()

    static func mountMemory(_ path: String, _ options: String) -> Bool {
        mount("tmpfs", path, "tmpfs", 0, options) == 0
    }

    @Test(.enabled(if: canMount)) func `a full disk is met before the first byte, with both counts`() async throws {
        try await onTmpfs("size=4m") { harness in
            let bytes = [UInt8](repeating: 7, count: 8 << 20)
            let error = try await fails(.noSpace) { _ = try await SinkWrite(harness, ObjectKey("big"), bytes) }
            #expect(error.retry == .park)
            #expect(error.message.contains("\(8 << 20) bytes) needed") && error.message.contains("free"))
            #expect(try harness.directory.files().isEmpty)
        }
    }

    @Test(.enabled(if: canMount)) func `a disk that fills up keeps what was written for the resume`() async throws {
        try await onTmpfs("size=12m") { harness in
            let bytes = SampleBytes.make(SinkWrite.unit * 2)
            try harness.directory.write("top/other", [1])
            let saved = try await fillUp(harness, bytes)
            #expect(try harness.directory.temporaries().count == 1)
            #expect(unlink(harness.directory.path + "/top/ballast") == 0)
            let second = try await SinkWrite(harness, ObjectKey("k"), bytes, unit: true, resume: saved)
            #expect(await second.session.record == saved.record)
            try await second.requireStored(part: 0)
            try await second.send(1)
            _ = try await second.commit()
            #expect(try harness.content(of: ObjectKey("k")) == bytes)
        }
    }

    @Test(.enabled(if: canMount)) func `a file system without inodes is a lack of space`() async throws {
        try await onTmpfs("nr_inodes=4") { harness in
            try harness.directory.write("top/a", [1])
            try harness.directory.write("top/b", [1])
            let error = try await fails(.noSpace) { _ = try await SinkWrite(harness, ObjectKey("k"), [1]) }
            #expect(error.retry == .park && error.message.contains("0 inodes free"))
        }
    }

    /// Part 0 is stored; then a file of unknown length takes the rest of the disk, until its write fails.
    private func fillUp(_ harness: FileSinkHarness, _ bytes: [UInt8]) async throws -> SinkWrite.Saved {
        let info = ObjectInfo(size: nil, pin: .weak(size: nil, modified: nil), supportsRanges: false)
        let target = try harness.sink().target(ObjectKey("k"))
        let session = try await target.begin(WritePlan(size: nil, partSize: 5 << 20, info: info))
        let chunks = Chunk.chunks(of: bytes, from: BufferPool())
        try harness.directory.write("top/ballast", [UInt8](repeating: 1, count: 6 << 20))
        var offset: UInt64 = 0
        let error = try await fails(.noSpace) {
            for chunk in chunks {
                try await session.write(chunk, at: offset)
                offset += UInt64(chunk.count)
            }
        }
        #expect(error.retry == .park && offset >= UInt64(SinkWrite.unit))
        return SinkWrite.Saved(record: await session.record, receipts: [])
    }

    private func onTmpfs(_ options: String, _ body: (FileSinkHarness) async throws -> Void) async throws {
        let directory = try TemporaryDirectory()
        #expect(FileSinkFaultTests.mountMemory(directory.path, options))
        defer { umount2(directory.path, Int32(MNT_DETACH)) }
        try await body(FileSinkHarness(directory: directory))
    }

    // MARK: - Links that are swapped in (L-11)

    @Test(arguments: [true, false])
    func `a directory that is swapped for a link never lets a file out`(usesOpenat2: Bool) async throws {
        let directory = try TemporaryDirectory()
        try directory.makeDirectory("outside".utf8)
        try directory.makeDirectory("top".utf8)
        try directory.makeDirectory("top/sub".utf8)
        let harness = FileSinkHarness(directory: directory, usesOpenat2: usesOpenat2)
        let swapper = Swapper(directory.path)
        var stored = 0
        var round = 0
        // On a busy machine the swapper's thread may come late.
        while round < 1000 || swapper.count < 100 {
            round += 1
            do {
                _ = try await SinkWrite.store(harness, ObjectKey("sub/f\(round)"), [1])
                stored += 1
            } catch let error as SluiceError {
                #expect([.unsafeName, .fileSystem, .notFound].contains(error.code), "\(error)")
            }
        }
        swapper.stop()
        let outside = try TemporaryDirectory.names(directory.path + "/outside")
        #expect(outside.isEmpty)
        #expect(stored > 0)
    }

    // MARK: - Few descriptors (L-20)

    @Test func `a thousand files in turn need no more than a few descriptors`() async {
        // 64, for the child inherits what other tests have open: pipes without O_CLOEXEC.
        await #expect(processExitsWith: .success) {
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            guard setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { exit(2) }
            var calls = SyncCalls()
            calls.file = { _ throws(SystemFailure) in }
            calls.directory = { _ throws(SystemFailure) in }
            let directory = try TemporaryDirectory()
            let sink = try FileSink(path: directory.path, group: SyncGroup(calls: calls))
            let chunk = Chunk.chunks(of: [1], from: BufferPool())[0]
            let info = ObjectInfo(size: 1, pin: .weak(size: 1, modified: nil), supportsRanges: true)
            for index in 0..<1000 {
                let target = try sink.target(ObjectKey("d\(index % 7)/f\(index)"))
                let session = try await target.begin(WritePlan(size: 1, partSize: 1, info: info))
                try await session.write(chunk, at: 0)
                _ = try await session.commit(CommitRequest(size: 1, sha256: nil, receipts: []))
            }
            guard try directory.files().count == 1000 else { exit(3) }
        }
    }
}

/// A thread that swaps `top/sub` for a link to `outside` and back, as fast as it can.
private final class Swapper: Sendable {
    private let swaps = Atomic(0)
    private let isStopped = Atomic(false)
    private let isOver = Atomic(false)

    init(_ path: String) {
        let (sub, aside, link) = ("\(path)/top/sub", "\(path)/top/aside", "\(path)/top/link")
        symlink("../outside", link)
        Thread.start { [self] in
            while !isStopped.load(ordering: .relaxed) {
                // sub is the directory; then the link; then the directory again.
                rename(sub, aside)
                rename(link, sub)
                sched_yield()
                rename(sub, link)
                rename(aside, sub)
                swaps.add(1, ordering: .relaxed)
                sched_yield()
            }
            isOver.store(true, ordering: .releasing)
        }
    }

    var count: Int { swaps.load(ordering: .relaxed) }

    func stop() {
        isStopped.store(true, ordering: .relaxed)
        while !isOver.load(ordering: .acquiring) { sched_yield() }
    }
}

/// A plain thread: the cooperative pool must not be kept busy by a loop.
private enum Thread {
    private final class Body {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) {
            self.run = run
        }
    }

    static func start(_ run: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(Body(run)).toOpaque()
        let status = pthread_create(
            &thread,
            nil,
            { context in
                guard let context else { return nil }
                Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run()
                return nil
            },
            context
        )
        precondition(status == 0, "a test could not start a thread")
        pthread_detach(thread)
    }
}
