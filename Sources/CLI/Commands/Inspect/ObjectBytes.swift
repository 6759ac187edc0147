import SluiceBytes
import SluicePipeline
import SluiceSources

/// The beginning of one version of an object, read in ascending ranges: the first ones from the request that looks at
/// the object, where there is one.
struct ObjectBytes {
    private let object: any SourceObject
    private let session: any CommandSession
    private let options: ReadOptions
    private var opened: OpenedObject?
    /// Of the opened stream: bytes that came and were not asked for yet, and where they begin.
    private var rest: [UInt8] = []
    private var at: UInt64 = 0

    init(_ object: any SourceObject, _ session: any CommandSession) {
        self.object = object
        self.session = session
        options = ReadOptions(pool: session.pool)
    }

    /// Looks at the object; returns its name, which a server may know better than its location does.
    mutating func open(as name: ObjectKey?) async throws -> ObjectKey {
        let name = name ?? ObjectKey(bytes: [])
        let (object, options) = (object, options)
        let opened = try await session.retrying.run(host: object.host, object: object.location) {
            try await object.open(prefetch: StructureCheck.leadLength(name), options: options)
        }
        self.opened = opened
        guard !StructureCheck.knows(name), let proposed = opened.info.proposedName else { return name }
        return proposed
    }

    /// The verdict on what was opened.
    mutating func check(_ name: ObjectKey) async throws -> StructureReport {
        guard let opened else { throw SluiceError(.internalFault, object: object.location, "it was not opened") }
        defer { opened.stream?.cancel() }
        guard let size = opened.info.size else {
            throw SluiceError(
                .unsupported,
                object: object.location,
                "the source does not tell its length, which a header is checked against",
                remedy: "copy it first, and inspect the copy"
            )
        }
        var reader = self
        let report = try await StructureCheck.check(name: name, size: size) { range in
            try await reader.read(range, of: opened)
        }
        try await object.confirmUnchanged(opened.info)
        return report
    }

    private mutating func read(_ range: ByteRange, of opened: OpenedObject) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        if range.lower == at, let stream = opened.stream {
            do {
                bytes = try await take(range, stream, to: opened.streamRange.upper)
            } catch let error as SluiceError where opened.info.supportsRanges && error.retry != .restart {
                // Asked for anew, below.
            }
        }
        let missing = ByteRange(range.lower + UInt64(bytes.count), range.upper)
        if !missing.isEmpty { bytes += try await readRange(missing, opened.info) }
        return bytes
    }

    /// Bytes of the stream under way, as far as it goes.
    private mutating func take(_ range: ByteRange, _ stream: any ByteStream, to end: UInt64) async throws -> [UInt8] {
        let count = min(range.upper, end) - min(range.lower, end)
        while UInt64(rest.count) < count, let chunk = try await stream.next() { rest += chunk.bytes }
        let bytes = Array(rest.prefix(Int(clamping: count)))
        rest.removeFirst(bytes.count)
        at += UInt64(bytes.count)
        return bytes
    }

    private func readRange(_ range: ByteRange, _ info: ObjectInfo) async throws -> [UInt8] {
        let (object, options) = (object, options)
        return try await session.retrying.run(host: object.host, object: object.location) {
            let stream = try await object.read(range, of: info, options: options)
            defer { stream.cancel() }
            var bytes: [UInt8] = []
            while UInt64(bytes.count) < range.count, let chunk = try await stream.next() { bytes += chunk.bytes }
            guard UInt64(bytes.count) == range.count else {
                throw SluiceError(
                    .truncated,
                    object: object.location,
                    "\(range.count) bytes were asked for, \(bytes.count) came",
                    retry: .backoff
                )
            }
            return bytes
        }
    }
}
