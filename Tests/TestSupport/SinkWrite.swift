import SluiceBytes
import SluicePipeline
import Synchronization

/// One object on its way into a sink of any shape, as the runner would send it.
public final class SinkWrite: Sendable {
    /// A part that every sink takes when it is not the last: 5 MiB, the least of S3.
    public static let unit = 5 << 20

    /// What a journal would hold of a session.
    public struct Saved: Sendable {
        /// The session's record.
        public var record: [UInt8]
        /// Receipts so far, in part order.
        public var receipts: [PartReceipt]

        /// A journal's content.
        public init(record: [UInt8], receipts: [PartReceipt]) {
            self.record = record
            self.receipts = receipts
        }
    }

    /// The place.
    public let target: any SinkTarget
    /// The session.
    public let session: any SinkSession
    /// The whole.
    public let bytes: [UInt8]
    /// How it is cut.
    public let parts: [Part]
    private let shape: SinkCapabilities
    private let pool = BufferPool()
    private let receipts: Mutex<[Int: PartReceipt]>

    /// Whether parts must come in order.
    public var isOrdered: Bool { shape.shape == .ordered }

    /// Begins to write `bytes` under `key`.
    ///
    /// - Parameter unit: cut into parts of `unit` bytes; else one part.
    public init(
        _ harness: some SinkHarness,
        _ key: ObjectKey,
        _ bytes: [UInt8],
        unit: Bool = false,
        overwrite: OverwritePolicy = .refuse,
        resume: Saved? = nil
    ) async throws {
        self.bytes = bytes
        target = try await harness.sink().target(key)
        shape = try await target.capabilities
        let size = UInt64(bytes.count)
        let length = unit ? UInt64(SinkWrite.unit) : max(1, size)
        parts = stride(from: 0, to: max(1, size), by: Int(length)).enumerated().map { index, start in
            Part(index: index, range: ByteRange(start, min(start + length, size)))
        }
        let existing = overwrite == .overwrite ? try await target.existing() : nil
        let plan = WritePlan(
            size: size,
            partSize: length,
            info: ObjectInfo(size: size, pin: .etag("\"sample\"", size: size), supportsRanges: true),
            overwrite: overwrite,
            replaces: existing?.fingerprint,
            resume: resume?.record,
            receipts: resume?.receipts ?? []
        )
        receipts = Mutex(Dictionary(uniqueKeysWithValues: (resume?.receipts ?? []).map { ($0.part.index, $0) }))
        session = try await target.begin(plan)
        try await session.prepare()
    }

    /// Writes and commits an object.
    public static func store(
        _ harness: some SinkHarness,
        _ key: ObjectKey,
        _ bytes: [UInt8],
        overwrite: OverwritePolicy = .refuse
    ) async throws -> [UInt8] {
        let write = try await SinkWrite(harness, key, bytes, overwrite: overwrite)
        try await write.sendAll()
        _ = try await write.commit()
        return bytes
    }

    /// Sends one part.
    public func send(_ index: Int) async throws {
        let part = parts[index]
        let chunks = Chunk.chunks(of: Array(bytes[Int(part.range.lower)..<Int(part.range.upper)]), from: pool)
        let receipt: PartReceipt
        if shape.shape == .positioned {
            var offset = part.range.lower
            for chunk in chunks {
                try await session.write(chunk, at: offset)
                offset += UInt64(chunk.count)
            }
            receipt = PartReceipt(part: part, tag: "", crc32c: RunningDigest.hash(.crc32c, of: chunks))
        } else {
            let digests = shape.partDigests.union([.crc32c]).map { RunningDigest.hash($0, of: chunks) }
            receipt = try await session.write(part: part, chunks: chunks, digests: digests, options: WriteOptions())
        }
        receipts.withLock { $0[index] = receipt }
    }

    /// Sends every part, in order.
    public func sendAll() async throws {
        for index in parts.indices { try await send(index) }
    }

    /// What the journal would hold now.
    public func save() async -> Saved { Saved(record: await session.record, receipts: sortedReceipts) }

    /// Throws unless an earlier session's part is still known to this one.
    public func requireStored(part index: Int) async throws {
        let part = parts[index]
        guard shape.shape == .positioned else {
            let confirmed = await session.confirmed
            return try ConformanceFailure.require(
                confirmed.contains { $0.part == part },
                "part \(index) was not confirmed"
            )
        }
        let end = min(part.range.upper, part.range.lower + UInt64(BufferPool.chunkCapacity))
        let range = ByteRange(part.range.lower, end)
        let read = try await session.readBack(range, pool: pool).bytes
        let isSame = read[...] == bytes[Int(range.lower)..<Int(range.upper)]
        try ConformanceFailure.require(isSame, "part \(index) reads back as other bytes")
    }

    /// Commits.
    public func commit() async throws -> StoredObject {
        let digests = shape.objectDigests.map { algorithm in
            let digest = RunningDigest(algorithm)
            bytes.withUnsafeBytes { digest.update($0) }
            return digest.finish()
        }
        let sha256 = bytes.withUnsafeBytes { SHA256.hash($0) }
        let size = UInt64(bytes.count)
        let request = CommitRequest(size: size, sha256: sha256, digests: digests, receipts: sortedReceipts)
        return try await session.commit(request)
    }

    private var sortedReceipts: [PartReceipt] {
        receipts.withLock { $0.values.sorted { $0.part.index < $1.part.index } }
    }
}
