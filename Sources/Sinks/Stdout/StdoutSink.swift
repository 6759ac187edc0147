import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Standard output: one object, strictly in order, never taken back.
///
/// Nothing can be hidden until commit here: the reader has the bytes as they come, and learns from the exit status
/// whether they were proven.
package struct StdoutSink: Sink, SinkTarget {
    private let descriptor: Int32

    /// - Parameter descriptor: 1, or a pipe in a test.
    package init(descriptor: Int32 = STDOUT_FILENO) {
        self.descriptor = descriptor
    }

    package var location: String { "-" }
    package var host: String { "stdout" }

    /// Small parts: the reader waits for nothing but the next one.
    package var capabilities: SinkCapabilities {
        SinkCapabilities(shape: .ordered, maximumParts: .max, preferredPart: 4 << 20)
    }

    package func isContainer() async throws -> Bool { false }

    package func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        guard relativeKey.bytes.isEmpty else {
            throw SluiceError(
                .unsafeName,
                object: relativeKey.description,
                "standard output takes one object only",
                remedy: "name one object, or copy into a directory"
            )
        }
        return self
    }

    package func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport {
        CleanUpReport()
    }

    package func existing() async throws -> StoredObject? { nil }

    package func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? { nil }

    package func begin(_ plan: WritePlan) async throws -> any SinkSession {
        StdoutSession(descriptor: descriptor)
    }
}

/// One object on its way to standard output.
final class StdoutSession: SinkSession {
    private let descriptor: Int32
    /// Bytes that were taken by the descriptor.
    private let written = Mutex<UInt64>(0)

    init(descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Empty: no other process can go on.
    var record: [UInt8] { [] }
    var confirmed: [PartReceipt] { [] }

    /// Replayable: what the descriptor took of this part before a failure is not written again.
    func write(part: Part, chunks: [Chunk], digests: [Digest], options: WriteOptions) async throws -> PartReceipt {
        var position = part.range.lower
        guard position <= written.withLock({ $0 }) else {
            throw SluiceError(.internalFault, object: "-", "part \(part.index) came before the one ahead of it")
        }
        for chunk in chunks {
            let done = written.withLock { $0 }
            let known = done > position ? Int(min(done - position, UInt64(chunk.count))) : 0
            try await write(chunk.dropFirst(known), options)
            position += UInt64(chunk.count)
        }
        guard position == part.range.upper else {
            throw SluiceError(
                .internalFault,
                object: "-",
                "part \(part.index) ends at \(position) instead of \(part.range.upper)"
            )
        }
        let crc = digests.first { $0.algorithm == .crc32c } ?? RunningDigest.hash(.crc32c, of: chunks)
        return PartReceipt(part: part, tag: "", crc32c: crc, digests: digests)
    }

    private func write(_ chunk: Chunk, _ options: WriteOptions) async throws {
        var rest = chunk
        while rest.count > 0 {
            try Task.checkCancellation()
            do {
                let count = try rest.withBytes { (bytes) throws(SystemFailure) in
                    try SystemFailure.check("write") { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
                }
                written.withLock { $0 += UInt64(count) }
                options.onSent?(count)
                rest = rest.dropFirst(count)
            } catch let error where error.number == EAGAIN {
                // Somebody set O_NONBLOCK on the open file that we share. The wait is short so that a cancellation
                // is seen.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                try SystemFailure.check("poll") { poll(&ready, 1, 200) }
            } catch let error where error.number == EPIPE {
                // The reader had enough (`| head`): no failure of ours to complain about.
                throw SluiceError(.interrupted, object: "-", "the reader of standard output is gone", cause: "EPIPE")
            } catch {
                throw SluiceError(error, "write to standard output", object: "-")
            }
        }
    }

    func commit(_ request: CommitRequest) async throws -> StoredObject {
        let count = written.withLock { $0 }
        guard count == request.size else {
            throw SluiceError(.internalFault, object: "-", "\(count) bytes were written instead of \(request.size)")
        }
        return StoredObject(location: "-", size: count, fingerprint: "\(count)", note: "none")
    }

    /// What was written cannot be taken back.
    func abort() async {}
}
