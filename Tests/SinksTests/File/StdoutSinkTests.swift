import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSinks

@Suite(.timeLimit(.minutes(10))) struct StdoutSinkTests {
    private let info = ObjectInfo(size: nil, pin: .weak(size: nil, modified: nil), supportsRanges: false)

    @Test func `parts come out in order, and a repeated one only once`() async throws {
        let (reader, writer) = try pipe()
        let target = try StdoutSink(descriptor: writer.raw).target(ObjectKey(""))
        let session = try await target.begin(WritePlan(size: nil, partSize: 4, info: info))
        for (index, range) in [ByteRange(0, 4), ByteRange(0, 4), ByteRange(4, 6)].enumerated() {
            let part = Part(index: index, range: range)
            _ = try await session.write(part: part, chunks: chunks(range), digests: [], options: WriteOptions())
        }
        let gap = Part(index: 3, range: ByteRange(9, 10))
        try await fails(.internalFault) {
            _ = try await session.write(part: gap, chunks: chunks(gap.range), digests: [], options: WriteOptions())
        }
        #expect(try await session.commit(CommitRequest(size: 6, sha256: nil, receipts: [])).size == 6)
        var bytes = [UInt8](repeating: 0, count: 100)
        #expect(read(reader.raw, &bytes, 100) == 6)
        #expect(bytes.prefix(6) == [0, 1, 2, 3, 4, 5])
    }

    @Test func `a reader that went away interrupts quietly`() async throws {
        signal(SIGPIPE, SIG_IGN)
        var ends: [Int32] = [0, 0]
        try SystemFailure.check("pipe") { Glibc.pipe(&ends) }
        close(ends[0])
        let writer = OwnedDescriptor(ends[1])
        let session = try await StdoutSink(descriptor: writer.raw)
            .begin(WritePlan(size: nil, partSize: 4, info: info))
        let part = Part(index: 0, range: ByteRange(0, 4))
        try await fails(.interrupted) {
            _ = try await session.write(part: part, chunks: chunks(part.range), digests: [], options: WriteOptions())
        }
    }

    @Test func `a directory cannot be written to standard output`() async throws {
        try await fails(.unsafeName) { _ = try StdoutSink().target(ObjectKey("a")) }
    }

    private func chunks(_ range: ByteRange) -> [Chunk] {
        Chunk.chunks(of: (range.lower..<range.upper).map { UInt8($0) }, from: BufferPool())
    }

    private func pipe() throws -> (OwnedDescriptor, OwnedDescriptor) {
        var ends: [Int32] = [0, 0]
        try SystemFailure.check("pipe") { Glibc.pipe(&ends) }
        return (OwnedDescriptor(ends[0]), OwnedDescriptor(ends[1]))
    }
}
