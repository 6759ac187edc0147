import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Writes the records of mirrors, each whole: an upload in parts would need a row of the queue to be found again by.
struct RecordWriter: Sendable {
    let session: any CommandSession
    let target: CopyTarget

    /// So many others may be faster, one after the other.
    private static let attempts = 20

    /// Writes a record that is named after its bytes, unless it is there.
    func put(_ key: ObjectKey, _ bytes: [UInt8]) async throws {
        let target = try target.sink.target(key)
        let sha256 = bytes.withUnsafeBytes { SHA256.hash($0) }
        try await overtaking {
            let existing = try await PlaceLook.existing(target, session)
            if let existing, existing.size == UInt64(bytes.count),
                try await target.holds(sha256, in: existing, pool: session.pool) == true
            {
                return
            }
            try await write(bytes, to: target, replacing: existing)
        }
    }

    /// Replaces a small record that several mirrors write at once: on the condition that it still is what was read.
    ///
    /// - Parameters:
    ///   - limit: a longer record is none of ours.
    ///   - make: the new bytes from those that are there, with their location, and nil if there are none; nil if nothing
    ///     is to be written. Called anew for what somebody else wrote meanwhile.
    func replace(
        _ key: ObjectKey,
        limit: ByteCount,
        with make: @Sendable (_ there: (bytes: [UInt8], location: String)?) throws -> [UInt8]?
    ) async throws {
        let target = try target.sink.target(key)
        let reader = RecordReader(session: session, target: self.target)
        try await overtaking {
            // The look comes before the read: what is written in between is another version than the looked at.
            let existing = try await PlaceLook.existing(target, session)
            let there = existing == nil ? nil : try await reader.read(key, limit: limit)
            guard let bytes = try make(there) else { return }
            try await write(bytes, to: target, replacing: existing)
        }
    }

    /// Again if somebody else was faster.
    private func overtaking(_ body: () async throws -> Void) async throws {
        var attempt = 0
        while true {
            do {
                return try await body()
            } catch let error as SluiceError where RecordWriter.isOvertaken(error) {
                attempt += 1
                guard attempt < RecordWriter.attempts else { throw error }
            }
        }
    }

    private static func isOvertaken(_ error: SluiceError) -> Bool {
        error.code == .exists || error.code == .sourceChanged
    }

    private func write(_ bytes: [UInt8], to target: any SinkTarget, replacing existing: StoredObject?) async throws {
        let chunks = Chunk.chunks(of: bytes, from: session.pool)
        let (size, sha256) = (UInt64(bytes.count), RunningDigest.hash(.sha256, of: chunks))
        try await session.retrying.run(host: target.host, object: target.location) {
            let capabilities = try await target.capabilities
            let plan = WritePlan(
                size: size,
                partSize: max(capabilities.preferredPart, size),
                info: ObjectInfo(size: size, pin: .weak(size: size, modified: nil), supportsRanges: true),
                expected: sha256,
                overwrite: existing == nil ? .refuse : .overwrite,
                replaces: existing?.fingerprint
            )
            let sink = try await target.begin(plan)
            do {
                try await sink.prepare()
                let receipts = try await RecordWriter.send(chunks, size, capabilities, to: sink)
                let digests = capabilities.objectDigests.map { RunningDigest.hash($0, of: chunks) }
                _ = try await sink.commit(
                    CommitRequest(size: size, sha256: sha256, digests: digests, receipts: receipts)
                )
            } catch {
                await sink.abort()
                throw error
            }
        }
    }

    private static func send(
        _ chunks: [Chunk],
        _ size: UInt64,
        _ capabilities: SinkCapabilities,
        to sink: any SinkSession
    ) async throws -> [PartReceipt] {
        if capabilities.shape == .positioned {
            var offset: UInt64 = 0
            for chunk in chunks {
                try await sink.write(chunk, at: offset)
                offset += UInt64(chunk.count)
            }
            return []
        }
        let digests = capabilities.partDigests.union([.crc32c]).map { RunningDigest.hash($0, of: chunks) }
        let part = Part(index: 0, range: ByteRange(0, size))
        return [try await sink.write(part: part, chunks: chunks, digests: digests, options: WriteOptions())]
    }
}
