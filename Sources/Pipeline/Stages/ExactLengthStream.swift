import SluiceBytes
import Synchronization

/// Holds a read to its length: a stream that ends early throws, one that goes on is cut and not believed.
public final class ExactLengthStream: ByteStream {
    private let inner: any ByteStream
    private let expected: UInt64
    private let object: String
    private let received = Mutex<UInt64>(0)

    /// - Parameters:
    ///   - expected: the length in bytes that was asked for and announced.
    ///   - object: the redacted location, for the error.
    public init(_ inner: any ByteStream, expected: UInt64, object: String) {
        self.inner = inner
        self.expected = expected
        self.object = object
    }

    /// The next bytes.
    ///
    /// - Throws: `.truncated` (retry `.backoff`) at an early end, `.badAnswer` at surplus bytes.
    public func next() async throws -> Chunk? {
        let chunk = try await inner.next()
        let total = received.withLock { total in
            total += UInt64(chunk?.count ?? 0)
            return total
        }
        if chunk == nil, total < expected {
            throw SluiceError(
                .truncated,
                object: object,
                "the bytes ended at \(total) of \(expected)",
                retry: .backoff
            )
        }
        if total > expected {
            inner.cancel()
            throw SluiceError(
                .badAnswer,
                object: object,
                "more than the announced \(expected) bytes came",
                remedy: "the server contradicts itself; try another mirror",
                retry: .backoff
            )
        }
        return chunk
    }

    /// Ends the inner stream.
    public func cancel() { inner.cancel() }
}
