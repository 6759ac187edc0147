import SluiceBytes
import SluicePipeline
import Synchronization

/// A range of what a stream from byte 0 brings, where the server knows no ranges.
final class CutStream: ByteStream {
    private struct Left {
        var skip: UInt64
        var take: UInt64
    }

    private let inner: any ByteStream
    private let object: String
    private let left: Mutex<Left>

    init(_ inner: any ByteStream, _ range: ByteRange, object: String) {
        self.inner = inner
        self.object = object
        left = Mutex(Left(skip: range.lower, take: range.count))
    }

    func next() async throws -> Chunk? {
        while left.withLock({ $0.take > 0 }) {
            guard let chunk = try await inner.next() else {
                let missing = left.withLock { $0.take }
                throw SluiceError(
                    .truncated,
                    object: object,
                    "its bytes ended \(missing) bytes before the end of the range",
                    retry: .backoff
                )
            }
            let kept = left.withLock { left in
                let skipped = Int(min(left.skip, UInt64(chunk.count)))
                left.skip -= UInt64(skipped)
                let kept = chunk.dropFirst(skipped).prefix(Int(clamping: left.take))
                left.take -= UInt64(kept.count)
                return kept
            }
            if kept.count > 0 { return kept }
        }
        inner.cancel()
        return nil
    }

    func cancel() { inner.cancel() }
}
