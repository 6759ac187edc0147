import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// One file of a hub's revision: size and digests come from the hub's listing, bytes by its address at the hub, which
/// leads to another server for large files.
final class HubObject: SourceObject {
    /// What the listing tells of it.
    struct File: Sendable {
        /// Nil where only the server that has the bytes knows it, and has not been asked.
        let size: UInt64?
        let published: [Digest]
        /// What the revision's file is called that never changes: a digest. Nil if it has none: then the version of the
        /// server that has the bytes is the only one there is.
        let tag: String?
        let address: HTTPObject
        /// Whether ranges can be asked for, as far as is known before an answer.
        var supportsRanges = true
        /// Whether size and time are what that server says of it, for want of a listing that is exact.
        var isServersWord = false
        /// Told the size that the server has.
        var answered: @Sendable (UInt64?) throws -> Void = { _ in }
        /// Looks at a stream from byte 0.
        var checking: @Sendable (any ByteStream) -> any ByteStream = { $0 }

        /// - Parameter seen: the size that the server told.
        func info(_ seen: UInt64?) -> ObjectInfo {
            let size = isServersWord ? seen : size
            let pin = Pin.etag("\"\(tag ?? "")\"", size: size)
            return ObjectInfo(size: size, pin: pin, published: published, supportsRanges: supportsRanges)
        }
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
        let found = try await look()
        let file = found.file
        // The listing has told all there is to know of a file whose bytes are not wanted yet.
        if file.tag != nil, let size = file.size ?? found.answered?.size, prefetch == 0 || size == 0 {
            return OpenedObject(info: file.info(size))
        }
        var opened = try await file.address.open(prefetch: prefetch, options: options)
        let answered = opened.info
        do {
            try check(answered.size, file)
        } catch {
            opened.stream?.cancel()
            throw error
        }
        self.found.withLock { $0?.answered = answered }
        opened.info = file.tag == nil ? answered : file.info(answered.size)
        opened.info.supportsRanges = answered.supportsRanges
        opened.info.endIsProven = answered.endIsProven
        opened.info.contentHeaders = answered.contentHeaders
        opened.info.modified = file.isServersWord ? answered.modified : nil
        // What the server calls it may be made up for each download.
        opened.info.proposedName = nil
        opened.stream = opened.stream.map(file.checking)
        return opened
    }

    private func check(_ size: UInt64?, _ file: File) throws {
        try file.answered(size)
        guard !file.isServersWord, let size, let listed = file.size, size != listed else { return }
        throw SluiceError(
            .badAnswer,
            object: location,
            "the tree has \(listed) bytes for it, its address \(size)",
            remedy: "try again later, or another mirror of the hub",
            retry: .backoff
        )
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        let found = try await look()
        let file = found.file
        let wanted = file.tag == nil ? info.pin : file.info(info.size).pin
        guard info.pin == wanted else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), its revision has \(wanted)",
                remedy: "run the command again",
                retry: .restart
            )
        }
        if !(found.answered?.supportsRanges ?? file.supportsRanges) {
            let opened = try await file.address.open(prefetch: range.upper, options: options)
            guard let stream = opened.stream else { throw HubAnswer.bad(location, "the server sends no bytes") }
            return CutStream(file.checking(stream), range, object: location)
        }
        // In another process nothing is known yet of the server that has the bytes; the digest decides at the end.
        let weak = ObjectInfo(size: info.size, pin: .weak(size: info.size, modified: nil), supportsRanges: true)
        let pinned = file.tag == nil ? info : found.answered ?? weak
        let stream = try await file.address.read(range, of: pinned, options: options)
        return range.lower == 0 ? file.checking(stream) : stream
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
