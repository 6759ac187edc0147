import Glibc
import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import Testing

@testable import SluiceSources

@Suite(.timeLimit(.minutes(10))) struct StdinSourceTests {
    @Test func `a pipe is read once, to its end`() async throws {
        let bytes = SampleBytes.make(50_000)
        let (reader, writer) = try pipe()
        try SystemFailure.check("write") { bytes.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) } }
        close(writer)
        let source = StdinSource(descriptor: reader.raw)
        #expect(try await source.isSingleObject())
        let object = try source.object(ObjectKey(""))
        let options = ReadOptions(pool: BufferPool())
        let opened = try await object.open(prefetch: 0, options: options)
        #expect(opened.info.size == nil && !opened.info.supportsRanges && !opened.info.pin.isStrong)
        #expect(try await opened.stream?.gathered() == bytes)
        let error = try await #require(throws: SluiceError.self) {
            try await object.open(prefetch: 0, options: options)
        }
        #expect(error.code == .unsupported && error.remedy != nil)
    }

    @Test func `an empty pipe is an empty object`() async throws {
        let (reader, writer) = try pipe()
        close(writer)
        let opened = try await StdinSource(descriptor: reader.raw)
            .open(prefetch: 0, options: ReadOptions(pool: BufferPool()))
        #expect(try await opened.stream?.gathered() == [])
    }

    @Test func `a wait for input ends when the task is cancelled`() async throws {
        let (reader, writer) = try pipe()
        defer { close(writer) }
        let opened = try await StdinSource(descriptor: reader.raw)
            .open(prefetch: 0, options: ReadOptions(pool: BufferPool()))
        let stream = try #require(opened.stream)
        let task = Task { try await stream.next() }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    private func pipe() throws -> (OwnedDescriptor, Int32) {
        var ends: [Int32] = [0, 0]
        try SystemFailure.check("pipe") { Glibc.pipe(&ends) }
        return (OwnedDescriptor(ends[0]), ends[1])
    }
}
