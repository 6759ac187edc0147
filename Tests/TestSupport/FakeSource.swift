import SluiceBytes
import SluicePipeline
import Synchronization

/// Bytes that are made from their offset, so that every byte of an object differs from its neighbours.
public enum TestBytes {
    /// `count` bytes of the object with this seed.
    public static func make(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        return [UInt8](unsafeUninitializedCapacity: count + 8) { buffer, filled in
            let bytes = UnsafeMutableRawBufferPointer(buffer)
            for index in stride(from: 0, to: count, by: 8) {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                bytes.storeBytes(of: state, toByteOffset: index, as: UInt64.self)
            }
            filled = count
        }
    }

    /// Their SHA-256.
    public static func sha256(_ bytes: [UInt8]) -> Digest { bytes.withUnsafeBytes { SHA256.hash($0) } }
}

/// A source object in memory that does what its script says, and counts what was asked of it.
public final class FakeSource: SourceObject {
    /// How it behaves.
    public struct Script: Sendable {
        /// Largest chunk that a stream yields.
        public var chunk = 256 << 10
        /// The stream of the n-th read (from 1, the first read of `open` included) ends with this error after so many
        /// bytes.
        public var breaks: [Int: (after: Int, error: any Error)] = [:]
        /// The stream of the n-th read ends without an error after so many bytes.
        public var shortReads: [Int: Int] = [:]
        /// `open` begins to read, as HTTP does.
        public var startsOnOpen = false
        /// The length is not told.
        public var hidesSize = false
        /// Awaited before every chunk, told the read's number and the chunk's offset.
        public var beforeChunk: (@Sendable (Int, UInt64) async throws -> Void)?

        /// A source that works.
        public init() {}
    }

    private struct State {
        var bytes: [UInt8]
        var info: ObjectInfo
        var reads: [ByteRange] = []
        var yielded: [ByteRange] = []
        var live = 0
        var opens = 0
    }

    /// Its location.
    public let location: String
    /// Its host.
    public let host: String
    /// Failures: `open`, `read`, `confirm`.
    public let faults = FaultPlan()
    private let script: Script
    private let state: Mutex<State>

    /// - Parameter published: whether its SHA-256 is published.
    public init(
        _ bytes: [UInt8],
        published: Bool = false,
        ranges: Bool = true,
        pin: Pin? = nil,
        host: String = "https://fake",
        script: Script = Script()
    ) {
        self.host = host
        self.script = script
        location = "\(host)/object"
        let size = script.hidesSize ? nil : UInt64(bytes.count)
        let info = ObjectInfo(
            size: size,
            pin: pin ?? .etag("\"1\"", size: size),
            published: published ? [TestBytes.sha256(bytes)] : [],
            supportsRanges: ranges
        )
        state = Mutex(State(bytes: bytes, info: info))
    }

    /// Publishes another digest than the bytes have.
    public func publish(_ digest: Digest) { state.withLock { $0.info.published = [digest] } }

    /// Puts another version in its place: reads pinned to the old one fail from now on.
    public func replace(with bytes: [UInt8], pin: Pin) {
        state.withLock { state in
            state.bytes = bytes
            state.info.pin = pin
            state.info.size = UInt64(bytes.count)
        }
    }

    /// Sends other bytes than were announced, under the same pin.
    public func lie(_ bytes: [UInt8]) { state.withLock { $0.bytes = bytes } }

    /// The ranges of all reads that were started.
    public var reads: [ByteRange] { state.withLock { $0.reads } }
    /// The runs of bytes that were handed out.
    public var yielded: [ByteRange] { state.withLock { $0.yielded } }
    /// How many bytes were handed out.
    public var bytesYielded: UInt64 { yielded.reduce(0) { $0 + $1.count } }
    /// Streams that neither ended nor were cancelled.
    public var liveStreams: Int { state.withLock { $0.live } }
    /// How often it was looked at.
    public var opens: Int { state.withLock { $0.opens } }

    /// As a listing names a version.
    public func listed(_ version: ListedVersion, size: UInt64) -> ObjectInfo? {
        let pin = Pin.etag(version.etag, size: size)
        return ObjectInfo(size: size, pin: pin, supportsRanges: true, modified: version.modified, place: location)
    }

    /// Looks at the object.
    public func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        try faults.pass("open")
        let (info, size) = state.withLock { state in
            state.opens += 1
            return (state.info, UInt64(state.bytes.count))
        }
        guard script.startsOnOpen, prefetch > 0 else { return OpenedObject(info: info) }
        if script.hidesSize || !info.supportsRanges {
            let upper = script.hidesSize ? UInt64.max : size
            let stream = start(ByteRange(0, upper), info, options)
            return OpenedObject(info: info, stream: stream, streamRange: ByteRange(0, upper))
        }
        let range = ByteRange(0, min(prefetch, size))
        return OpenedObject(info: info, stream: start(range, info, options), streamRange: range)
    }

    /// Starts a stream.
    public func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        try faults.pass("read")
        try check(info)
        return start(range, info, options)
    }

    /// Compares the pins.
    public func confirmUnchanged(_ info: ObjectInfo) async throws {
        try faults.pass("confirm")
        try check(info)
    }

    private func check(_ info: ObjectInfo) throws {
        let now = state.withLock { $0.info.pin }
        guard now == info.pin else { throw changed(from: info.pin, to: now) }
    }

    private func changed(from old: Pin, to new: Pin) -> SluiceError {
        SluiceError(.sourceChanged, object: location, "was \(old), is \(new)", retry: .restart)
    }

    private func start(_ range: ByteRange, _ info: ObjectInfo, _ options: ReadOptions) -> FakeStream {
        let number = state.withLock { state in
            state.reads.append(range)
            state.live += 1
            return state.reads.count
        }
        return FakeStream(self, number: number, range: range, info: info, options: options)
    }

    fileprivate func next(_ number: Int, _ range: ByteRange, at offset: UInt64, _ info: ObjectInfo, _ pool: BufferPool)
        async throws -> Chunk?
    {
        try Task.checkCancellation()
        try await script.beforeChunk?(number, offset)
        try check(info)
        let gone = Int(offset - range.lower)
        var limit = script.chunk
        if let broken = script.breaks[number] {
            if gone >= broken.after { throw broken.error }
            limit = min(limit, broken.after - gone)
        }
        if let short = script.shortReads[number] {
            if gone >= short { return nil }
            limit = min(limit, short - gone)
        }
        let slice: [UInt8] = try state.withLock { state in
            // Under the same lock: never bytes of another version.
            guard state.info.pin == info.pin else { throw changed(from: info.pin, to: state.info.pin) }
            // A body without ranges goes on to its end, whatever was announced.
            let asked = info.supportsRanges ? range.upper : .max
            let run = ByteRange(offset, min(asked, UInt64(state.bytes.count), offset + UInt64(limit)))
            guard !run.isEmpty else { return [] }
            state.yielded.append(run)
            return Array(state.bytes[Int(run.lower)..<Int(run.upper)])
        }
        return Chunk.chunks(of: slice, from: pool).first
    }

    fileprivate func ended() { state.withLock { $0.live -= 1 } }
}

/// A read of a `FakeSource`.
private final class FakeStream: ByteStream {
    private let source: FakeSource
    private let number: Int
    private let range: ByteRange
    private let info: ObjectInfo
    private let options: ReadOptions
    private let state: Mutex<(offset: UInt64, over: Bool)>

    init(_ source: FakeSource, number: Int, range: ByteRange, info: ObjectInfo, options: ReadOptions) {
        self.source = source
        self.number = number
        self.range = range
        self.info = info
        self.options = options
        state = Mutex((range.lower, false))
    }

    func next() async throws -> Chunk? {
        let (offset, over) = state.withLock { $0 }
        if over { return nil }
        guard let chunk = try await source.next(number, range, at: offset, info, options.pool) else {
            cancel()
            return nil
        }
        options.onReceived?(chunk.count)
        state.withLock { $0.offset += UInt64(chunk.count) }
        return chunk
    }

    func cancel() {
        let first = state.withLock { state in
            defer { state.over = true }
            return !state.over
        }
        if first { source.ended() }
    }
}
