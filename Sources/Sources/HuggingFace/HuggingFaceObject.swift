import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// One file at a commit: size and digests come from the tree, bytes by its address at the hub, which leads to another
/// server for large files. Every answer of the hub on the way has to be of that commit and of that file.
final class HuggingFaceObject: SourceObject {
    private let place: HuggingFacePlace
    private let hub: HuggingFaceHub

    private struct Found {
        let file: HuggingFaceFile
        let address: HTTPObject
        /// As the server says that has the bytes: its entity tag is neither of the file's digests.
        var answered: ObjectInfo?

        var pin: Pin { .etag("\"\(file.tag)\"", size: file.size) }
    }
    private let found = Mutex<Found?>(nil)

    init(_ place: HuggingFacePlace, hub: HuggingFaceHub) {
        self.place = place
        self.hub = hub
    }

    var location: String { place.location }
    var host: String { hub.endpoint.origin }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let found = try await find()
        let info = ObjectInfo(
            size: found.file.size,
            pin: found.pin,
            published: [found.file.published],
            supportsRanges: true
        )
        // The tree has told all there is to know of a file whose bytes are not wanted yet.
        if prefetch == 0 || found.file.size == 0 { return OpenedObject(info: info) }
        var opened = try await found.address.open(prefetch: prefetch, options: options)
        if let size = opened.info.size, size != found.file.size {
            opened.stream?.cancel()
            throw SluiceError(
                .badAnswer,
                object: location,
                "the tree has \(found.file.size) bytes for it, its address \(size)",
                remedy: "try again later, or another mirror of the hub (HF_ENDPOINT)",
                retry: .backoff
            )
        }
        let answered = opened.info
        self.found.withLock { $0?.answered = answered }
        opened.info = info
        opened.info.supportsRanges = answered.supportsRanges
        opened.info.endIsProven = answered.endIsProven
        opened.info.contentHeaders = answered.contentHeaders
        return opened
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        let found = try await find()
        guard info.pin == found.pin else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), the commit has \(found.pin)",
                remedy: "run the command again",
                retry: .restart
            )
        }
        // In another process nothing is known yet of the server that has the bytes; the digest decides at the end.
        let weak = ObjectInfo(size: info.size, pin: .weak(size: info.size, modified: nil), supportsRanges: true)
        return try await found.address.read(range, of: found.answered ?? weak, options: options)
    }

    /// A commit never changes.
    func confirmUnchanged(_ info: ObjectInfo) async throws {}

    private func find() async throws -> Found {
        if let known = found.withLock({ $0 }) { return known }
        guard !place.path.bytes.isEmpty else {
            throw SluiceError(
                .usage,
                object: location,
                "it names a repository, not a file",
                remedy: "add the file's path; sluice ls \(location) shows what is there"
            )
        }
        let pinned = place.at(try await hub.commit(place), path: place.path)
        guard let file = try await hub.file(pinned) else {
            throw SluiceError(
                .notFound,
                object: location,
                "the commit \(pinned.revision ?? "") has no such file",
                remedy: "see \(hub.page(place)); a directory is copied with -r"
            )
        }
        let made = Found(file: file, address: try hub.address(of: file, at: pinned))
        return found.withLock { found in
            let first = found ?? made
            found = first
            return first
        }
    }
}
