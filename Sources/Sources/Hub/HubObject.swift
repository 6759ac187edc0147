import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// One file of a hub's revision: size and digests come from the hub's listing, bytes by its address at the hub, which
/// leads to another server for large files.
final class HubObject: SourceObject {
    /// What the listing tells of it.
    struct File: Sendable {
        let size: UInt64
        let published: [Digest]
        /// What the revision's file is called that never changes: a digest.
        let tag: String
        let address: HTTPObject
        /// Whether ranges can be asked for, as far as is known before an answer.
        var supportsRanges = true

        var pin: Pin { .etag("\"\(tag)\"", size: size) }
    }

    private struct Found {
        let file: File
        /// As the server says that has the bytes: its entity tag is none of the file's digests.
        var answered: ObjectInfo?
    }

    let location: String
    let host: String
    private let find: @Sendable () async throws -> File
    private let found = Mutex<Found?>(nil)

    /// - Parameter find: looks the file up; asked once.
    init(location: String, host: String, find: @escaping @Sendable () async throws -> File) {
        self.location = location
        self.host = host
        self.find = find
    }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let file = try await look().file
        let info = ObjectInfo(
            size: file.size,
            pin: file.pin,
            published: file.published,
            supportsRanges: file.supportsRanges
        )
        // The listing has told all there is to know of a file whose bytes are not wanted yet.
        if prefetch == 0 || file.size == 0 { return OpenedObject(info: info) }
        var opened = try await file.address.open(prefetch: prefetch, options: options)
        if let size = opened.info.size, size != file.size {
            opened.stream?.cancel()
            throw SluiceError(
                .badAnswer,
                object: location,
                "the tree has \(file.size) bytes for it, its address \(size)",
                remedy: "try again later, or another mirror of the hub",
                retry: .backoff
            )
        }
        let answered = opened.info
        found.withLock { $0?.answered = answered }
        opened.info = info
        opened.info.supportsRanges = answered.supportsRanges
        opened.info.endIsProven = answered.endIsProven
        opened.info.contentHeaders = answered.contentHeaders
        return opened
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        let found = try await look()
        guard info.pin == found.file.pin else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), its revision has \(found.file.pin)",
                remedy: "run the command again",
                retry: .restart
            )
        }
        if !(found.answered?.supportsRanges ?? found.file.supportsRanges) {
            let opened = try await found.file.address.open(prefetch: range.upper, options: options)
            guard let stream = opened.stream else { throw HubAnswer.bad(location, "the server sends no bytes") }
            return CutStream(stream, range, object: location)
        }
        // In another process nothing is known yet of the server that has the bytes; the digest decides at the end.
        let weak = ObjectInfo(size: info.size, pin: .weak(size: info.size, modified: nil), supportsRanges: true)
        return try await found.file.address.read(range, of: found.answered ?? weak, options: options)
    }

    /// A revision never changes.
    func confirmUnchanged(_ info: ObjectInfo) async throws {}

    private func look() async throws -> Found {
        if let known = found.withLock({ $0 }) { return known }
        let made = Found(file: try await find())
        return found.withLock { found in
            let first = found ?? made
            found = first
            return first
        }
    }
}
