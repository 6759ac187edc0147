import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// One file of a version: its digest comes from the API, its size and its bytes from the storage that the download's
/// address leads to.
final class CivitAIObject: SourceObject {
    private let place: CivitAIPlace
    private let hub: CivitAIHub

    private struct Found {
        let file: CivitAIFile
        let address: HTTPObject
        /// As the storage says: its entity tag is no digest.
        var answered: ObjectInfo?
    }
    private let found = Mutex<Found?>(nil)

    init(_ place: CivitAIPlace, hub: CivitAIHub) {
        self.place = place
        self.hub = hub
    }

    var location: String { place.location }
    var host: String { hub.endpoint.origin }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let found = try await find()
        let file = found.file
        if let size = hub.size(of: file), prefetch == 0 || size == 0 {
            return OpenedObject(info: info(file, size: size))
        }
        var opened = try await found.address.open(prefetch: prefetch, options: options)
        do {
            try check(opened.info.size, file)
        } catch {
            opened.stream?.cancel()
            throw error
        }
        let answered = opened.info
        self.found.withLock { $0?.answered = answered }
        if let size = answered.size, !file.published.isEmpty { hub.remember(size, of: file) }
        // Without a digest the storage's own version is the only one there is.
        opened.info = file.published.isEmpty ? answered : info(file, size: answered.size)
        opened.info.supportsRanges = answered.supportsRanges
        opened.info.endIsProven = answered.endIsProven
        opened.info.contentHeaders = answered.contentHeaders
        opened.info.modified = answered.modified
        // What the storage calls it is made up for each download.
        opened.info.proposedName = nil
        opened.stream = opened.stream.map(checkingBegin(of: file))
        return opened
    }

    private func info(_ file: CivitAIFile, size: UInt64?) -> ObjectInfo {
        ObjectInfo(
            size: size,
            pin: .etag("\"\(file.published.first?.hex ?? "")\"", size: size),
            published: file.published,
            supportsRanges: true
        )
    }

    /// The hub's size is rounded, and now and then that of other bytes: a digest settles it. Without one it is all that
    /// tells a whole file from a part of one, to within what the rounding makes.
    private func check(_ size: UInt64?, _ file: CivitAIFile) throws {
        guard file.published.isEmpty, let size, let hint = file.sizeHint, abs(Double(size) - hint) > 16 else { return }
        throw SluiceError(
            .badAnswer,
            object: location,
            "the storage has \(size) bytes for it, the API tells about \(UInt64(hint)), and no digest that would decide",
            remedy: "try again later: digests come with the hub's scan of a new file",
            retry: .backoff
        )
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        let found = try await find()
        let file = found.file
        let wanted = file.published.isEmpty ? info.pin : self.info(file, size: info.size).pin
        guard info.pin == wanted else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), the version has \(wanted)",
                remedy: "run the command again",
                retry: .restart
            )
        }
        // In another process nothing is known yet of the storage's own version; the digest decides at the end.
        let weak = ObjectInfo(size: info.size, pin: .weak(size: info.size, modified: nil), supportsRanges: true)
        let pinned = file.published.isEmpty ? info : found.answered ?? weak
        let stream = try await found.address.read(range, of: pinned, options: options)
        return range.lower == 0 ? checkingBegin(of: file)(stream) : stream
    }

    /// Every read was of the storage's version, or is compared by its digest.
    func confirmUnchanged(_ info: ObjectInfo) async throws {}

    /// A page under a file's type is a page.
    private func checkingBegin(of file: CivitAIFile) -> (any ByteStream) -> any ByteStream {
        let ending = ObjectKey(file.name).ending.flatMap { BeginCheck.modelEndings.contains($0) ? $0 : nil }
        return { [location, hub] stream in
            BeginCheck(stream) { begin in
                guard BeginCheck.page(begin, ending: ending ?? "bin") != nil else { return }
                throw CivitAIAnswer.pageInstead(location, of: "the file", hasToken: hub.hasToken)
            }
        }
    }

    private func find() async throws -> Found {
        if let known = found.withLock({ $0 }) { return known }
        let version = try await hub.version(place).version
        let files = try version.files(place, page: hub.page(place))
        guard files.count == 1, let (path, file) = files.first, place.names(path) else {
            throw SluiceError(
                .usage,
                object: place.location,
                "it names \(files.count) files, not one",
                remedy: "sluice ls \(place.location) shows them"
            )
        }
        let pinned = place.at(version, .file(file.id, name: place.storedName ?? path.lastComponent))
        let made = Found(file: file, address: try hub.address(of: file, at: pinned))
        return found.withLock { found in
            let first = found ?? made
            found = first
            return first
        }
    }
}
