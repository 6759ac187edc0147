import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Standard input: one object of unknown length that can be read once, from its first byte to its end.
package final class StdinSource: Source, SourceObject {
    private let descriptor: Int32
    private let time: any TimeSource
    private let isTaken = Mutex(false)

    /// - Parameter descriptor: 0, or a pipe in a test; not closed.
    package init(descriptor: Int32 = STDIN_FILENO, time: any TimeSource = SystemTime()) {
        self.descriptor = descriptor
        self.time = time
    }

    package var location: String { "-" }
    package var host: String { "stdin" }
    package var readsAhead: Bool { false }

    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        AsyncThrowingStream { continuation in
            let empty = ObjectKey("")
            continuation.yield(.entry(SourceEntry(relativeKey: empty, baseName: ObjectKey("stdin"), location: "-")))
            continuation.finish()
        }
    }

    package func isSingleObject() async throws -> Bool { true }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        guard relativeKey.bytes.isEmpty else {
            throw SluiceError(.notFound, object: relativeKey.description, "standard input is one object")
        }
        return self
    }

    /// The one read, whatever `prefetch` says.
    package func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let isFirst = isTaken.withLock { taken in
            defer { taken = true }
            return !taken
        }
        guard isFirst else { throw StdinSource.readTwice }
        let info = ObjectInfo(size: nil, pin: .weak(size: nil, modified: nil), supportsRanges: false)
        let stream = StdinStream(descriptor: descriptor, options: options, time: time)
        return OpenedObject(info: info, stream: stream, streamRange: ByteRange(0, .max))
    }

    package func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        throw StdinSource.readTwice
    }

    package func confirmUnchanged(_ info: ObjectInfo) async throws {}

    private static var readTwice: SluiceError {
        SluiceError(
            .unsupported,
            object: "-",
            "standard input was read already, and cannot be read again",
            remedy: "write it to a file first, or run the command again with the same input"
        )
    }
}

/// The bytes of standard input as they come.
final class StdinStream: ByteStream {
    private let descriptor: Int32
    private let options: ReadOptions
    private let time: any TimeSource
    private let isCancelled = Mutex(false)

    init(descriptor: Int32, options: ReadOptions, time: any TimeSource) {
        self.descriptor = descriptor
        self.options = options
        self.time = time
    }

    /// A whole chunk, or what came before the end.
    func next() async throws -> Chunk? {
        var builder = options.pool.makeBuilder()
        while builder.room > 0 {
            try await waitReadable()
            let before = builder.count
            // A gate books slices of at most 64 KiB, so that a limit holds within one chunk, too.
            let limit = options.gate == nil ? Int.max : 64 << 10
            do {
                try builder.fill { (free) throws(SystemFailure) -> Int in
                    try SystemFailure.check("read") {
                        Glibc.read(descriptor, free.baseAddress, min(free.count, limit))
                    }
                }
            } catch let error where error.number == EAGAIN {
                // Somebody set O_NONBLOCK, and another reader of the same pipe was faster.
                continue
            } catch {
                throw SluiceError(error, "read standard input", object: "-")
            }
            let count = builder.count - before
            if count == 0 { break }
            options.onReceived?(count)
            if let wait = options.gate?.book(count), wait > .zero { try await time.sleep(for: wait) }
        }
        return builder.count == 0 ? nil : builder.freeze()
    }

    func cancel() { isCancelled.withLock { $0 = true } }

    /// In slices of 200 ms, so that a cancellation is seen while nobody types.
    private func waitReadable() async throws {
        while true {
            try Task.checkCancellation()
            if isCancelled.withLock({ $0 }) { throw CancellationError() }
            var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            do {
                if try SystemFailure.check("poll", { poll(&ready, 1, 200) }) > 0 { return }
            } catch {
                throw SluiceError(error, "wait for standard input", object: "-")
            }
        }
    }
}
