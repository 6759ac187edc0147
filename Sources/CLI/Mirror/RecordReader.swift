import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Reads the small files that a mirror keeps of itself.
struct RecordReader: Sendable {
    let session: any CommandSession
    let target: CopyTarget

    /// - Throws: `.notFound` with the digest if the ref's manifest is not there, `.digestMismatch` if it is another.
    func manifest(_ digest: Digest) async throws -> MirrorManifest {
        let key = MirrorKeys.manifest(digest)
        guard let record = try await read(key, limit: MirrorManifest.limit) else {
            throw SluiceError(
                .notFound,
                object: try target.sink.target(key).location,
                "the mirror's ref points to this manifest, and it is not there",
                remedy: "remove the ref, \(MirrorKeys.records)refs/, and mirror again: what is there is compared, not "
                    + "fetched again"
            )
        }
        let found = record.bytes.withUnsafeBytes { SHA256.hash($0) }
        guard found == digest else {
            throw SluiceError(
                .digestMismatch,
                object: record.location,
                "the manifest has \(found), and its name says \(digest)",
                remedy:
                    "restore it, or remove the mirror's refs (\(MirrorKeys.refs)) and mirror again: what is there is "
                    + "compared, not fetched again"
            )
        }
        return try MirrorManifest(record.bytes, record.location)
    }

    /// Those that are there: what an earlier one brought is not known without it.
    func manifests(_ digests: [Digest]) async throws -> [MirrorManifest] {
        var manifests: [MirrorManifest] = []
        for digest in digests {
            do {
                manifests.append(try await manifest(digest))
            } catch let error as SluiceError where error.code == .notFound {
                continue
            }
        }
        return manifests
    }

    /// The other refs of the place and what they stand for, one manifest in memory at a time; ends once `take` says false.
    func others(than name: String, _ take: (MirrorRef, MirrorManifest) throws -> Bool) async throws {
        for key in try await FoundMirror.refs(below: target.location, session)
        where key != MirrorKeys.ref(name) && key.bytes.suffix(5).elementsEqual(".json".utf8) {
            guard let record = try await read(key, limit: MirrorRef.limit) else { continue }
            let ref = try MirrorRef(record.bytes, record.location)
            for manifest in try await manifests([ref.current.manifest]) {
                guard try take(ref, manifest) else { return }
            }
        }
    }

    /// Nil if it is not there.
    func read(_ key: ObjectKey, limit: ByteCount) async throws -> (bytes: [UInt8], location: String)? {
        let location = try target.sink.target(key).location
        let object = try session.source(try Resolver.location(location)).object(ObjectKey(""))
        do {
            let bytes = try await session.retrying.run(host: object.host, object: object.location) {
                try await RecordReader.read(object, limit: limit, pool: session.pool)
            }
            return (bytes, location)
        } catch let error as SluiceError where error.code == .notFound {
            return nil
        }
    }

    private static func read(_ object: any SourceObject, limit: ByteCount, pool: BufferPool) async throws -> [UInt8] {
        let options = ReadOptions(pool: pool)
        let opened = try await object.open(prefetch: 1 << 20, options: options)
        guard let size = opened.info.size, size <= limit.bytes else {
            opened.stream?.cancel()
            throw SluiceError(
                .badAnswer,
                object: object.location,
                "has \(opened.info.size.map { "\($0) bytes" } ?? "no length"), and a record of its kind has at most "
                    + "\(limit.bytes)",
                remedy: "move it away and check who wrote it"
            )
        }
        var bytes: [UInt8] = []
        if let stream = opened.stream { try await append(stream, to: &bytes) }
        if UInt64(bytes.count) < size {
            let rest = try await object.read(ByteRange(UInt64(bytes.count), size), of: opened.info, options: options)
            try await append(rest, to: &bytes)
        }
        try await object.confirmUnchanged(opened.info)
        return bytes
    }

    private static func append(_ stream: any ByteStream, to bytes: inout [UInt8]) async throws {
        while let chunk = try await stream.next() { chunk.withBytes { bytes.append(contentsOf: $0) } }
    }
}
