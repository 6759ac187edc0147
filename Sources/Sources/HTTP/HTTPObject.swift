import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// An object behind a URL: looked at by its first GET, never by HEAD (many signed URLs and CDNs refuse it, and its
/// length is only a hint), read by ranges that are pinned to a strong ETag.
final class HTTPObject: SourceObject {
    let location: String
    let url: HTTPURL
    private let follower: RedirectFollower
    private let ranges: RangeTrust
    private let now: @Sendable () -> Int64
    /// The end of the last redirect chain: ranges go there directly until it refuses (an expired signed URL).
    private let resolved: Mutex<RedirectFollower.Place>

    init(
        url: HTTPURL,
        headers: HTTPHeaders,
        client: any HTTPClient,
        location: String,
        ranges: RangeTrust,
        now: @escaping @Sendable () -> Int64
    ) {
        self.url = url
        self.location = location
        self.ranges = ranges
        self.now = now
        follower = RedirectFollower(client: client, url: url, headers: headers, object: location)
        resolved = Mutex(follower.beginning)
    }

    var host: String { url.origin }
    var publishesDigests: Bool { false }

    /// The last component of the URL's path, decoded.
    var nameInURL: ObjectKey {
        ObjectKey(bytes: PercentDecoding.bytes(url.path.split(separator: "/").last ?? ""))
    }

    // MARK: - Looking

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        if ranges.isBroken(location) { return try await openWithoutRange(options) }
        let asked = ByteRange(0, max(1, prefetch))
        let answer = try await follower.get(
            from: follower.beginning,
            conditions: ["Range": asked.httpRange ?? ""],
            options: options
        )
        do {
            return try await opened(answer, asked: asked, wantsBody: prefetch > 0, options)
        } catch {
            answer.response.body.cancel()
            throw error
        }
    }

    private func opened(
        _ answer: RedirectFollower.Answer,
        asked: ByteRange,
        wantsBody: Bool,
        _ options: ReadOptions
    ) async throws -> OpenedObject {
        resolved.withLock { $0 = answer.place }
        let response = answer.response
        switch response.status {
        case 206:
            guard let (range, total) = HTTPObject.contentRange(response), range.lower == 0,
                range.upper == min(asked.upper, total)
            else {
                response.body.cancel()
                return try await openWithoutRange(options)
            }
            try checkContent(response, answer.url)
            let info = info(response, size: total, supportsRanges: true)
            guard wantsBody else {
                response.body.cancel()
                return OpenedObject(info: info)
            }
            let stream = checkingBegin(body(response, range.count))
            return OpenedObject(info: info, stream: stream, streamRange: range)
        case 200:
            try checkContent(response, answer.url)
            return try whole(response)
        case 416:
            response.body.cancel()
            if case .unsatisfied(total: 0)? = response.headers["Content-Range"].flatMap({ ContentRange($0) }) {
                let info = info(response, size: 0, supportsRanges: false)
                return OpenedObject(info: info, stream: ChunkListStream([]), streamRange: ByteRange(0, 0))
            }
            return try await openWithoutRange(options)
        default:
            response.body.cancel()
            throw SluiceError(httpStatus: response.status, headers: response.headers, object: location, now: now())
        }
    }

    /// A server that answers a range wrongly is not asked for one again.
    ///
    /// - Parameter pinned: the version that it has to be, if another answer told one.
    private func openWithoutRange(_ options: ReadOptions, of pinned: ObjectInfo? = nil) async throws -> OpenedObject {
        let plain = try await follower.get(from: follower.beginning, conditions: [:], options: options)
        resolved.withLock { $0 = plain.place }
        let response = plain.response
        do {
            guard response.status == 200 else {
                throw SluiceError(
                    httpStatus: response.status,
                    headers: response.headers,
                    object: location,
                    now: now()
                )
            }
            try checkContent(response, plain.url)
            return try whole(response, of: pinned)
        } catch {
            response.body.cancel()
            throw error
        }
    }

    private func whole(_ response: HTTPResponse, of pinned: ObjectInfo? = nil) throws -> OpenedObject {
        var info = info(response, size: HTTPObject.contentLength(response), supportsRanges: false)
        info.endIsProven = response.lengthIsProven
        if let pinned { try checkWhole(info, pinned) }
        let size = info.size ?? pinned?.size
        let stream = size.map { body(response, $0) } ?? RemoteStream(response.body, object: location)
        return OpenedObject(info: info, stream: checkingBegin(stream), streamRange: ByteRange(0, size ?? .max))
    }

    /// Another answer stands for the whole object only if it says no less of it than the first one did.
    private func checkWhole(_ seen: ObjectInfo, _ pinned: ObjectInfo) throws {
        try checkVersion(seen, pinned)
        guard pinned.size == nil, seen.size == nil, pinned.endIsProven, !seen.endIsProven else { return }
        throw SluiceError(
            .badAnswer,
            object: location,
            "its first answer told where it ends, and another one does not",
            remedy: "the server contradicts itself; try again later, or another mirror",
            retry: .restart
        )
    }

    private func body(_ response: HTTPResponse, _ count: UInt64) -> any ByteStream {
        ExactLengthStream(RemoteStream(response.body, object: location), expected: count, object: location)
    }

    private func info(_ response: HTTPResponse, size: UInt64?, supportsRanges: Bool) -> ObjectInfo {
        let headers = response.headers
        let modified = headers["Last-Modified"]
        let tag = headers["ETag"].flatMap { ETag($0) }
        let pin: Pin =
            tag.flatMap { $0.isStrong ? .etag($0.description, size: size) : nil }
            ?? .weak(size: size, modified: modified)
        var content: [String: String] = [:]
        for name in ["content-type", "content-language", "cache-control"] { content[name] = headers[name] }
        let proposed = headers["Content-Disposition"].flatMap { ContentDisposition.fileName($0) }
        return ObjectInfo(
            size: size,
            pin: pin,
            supportsRanges: supportsRanges,
            contentHeaders: content,
            modified: modified.flatMap { HTTPDate($0, now: now())?.unixSeconds },
            proposedName: proposed.map { ObjectKey(bytes: $0) } ?? nameInURL,
            // A hub's location is no URL, and what one leaves out of a query may be what tells it from others.
            place: location.hasPrefix("http") && !location.contains("?") ? location : nil
        )
    }

    // MARK: - Reading

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        let isWhole = range.lower == 0 && range.upper == info.size ?? .max
        guard let asked = range.httpRange, range.upper != .max, info.supportsRanges || !isWhole else {
            let opened = try await openWithoutRange(options, of: info)
            guard let stream = opened.stream else { throw SluiceError(.internalFault, "a whole answer has a body") }
            return stream
        }
        var conditions: HTTPHeaders = ["Range": asked]
        // RFC 9110 §13.1.5: a weak tag must not be sent in If-Range.
        if case .etag(let tag, _) = info.pin { conditions["If-Range"] = tag }
        let start = resolved.withLock { $0 }
        var answer = try await follower.get(from: start, conditions: conditions, options: options)
        if start.url != url, [401, 403, 404, 410].contains(answer.response.status) {
            answer.response.body.cancel()
            answer = try await follower.get(from: follower.beginning, conditions: conditions, options: options)
            resolved.withLock { $0 = answer.place }
        }
        do {
            try checkPart(answer, range, info)
        } catch {
            answer.response.body.cancel()
            throw error
        }
        return body(answer.response, range.count)
    }

    private func checkPart(_ answer: RedirectFollower.Answer, _ asked: ByteRange, _ pinned: ObjectInfo) throws {
        let response = answer.response
        switch response.status {
        case 206:
            guard let (range, total) = HTTPObject.contentRange(response), range == asked else {
                let encoding = response.headers["Content-Encoding"] == nil ? nil : "Content-Encoding"
                let fields = ["Content-Range", encoding].compactMap { $0 }.map { HTTPObject.shown(response, $0) }
                throw wrongRange("bytes \(asked) were asked for, the answer is \(fields.joined(separator: ", "))")
            }
            try checkVersion(info(response, size: total, supportsRanges: true), pinned)
            try checkEncoding(response)
            ranges.noteRight(location)
        case 200:
            try checkContent(response, answer.url)
            try checkVersion(info(response, size: HTTPObject.contentLength(response), supportsRanges: false), pinned)
            throw wrongRange("bytes \(asked) were asked for, the answer is the whole object")
        case 412: throw changed(pinned, info(response, size: nil, supportsRanges: true))
        case 416:
            var total: UInt64?
            if case .unsatisfied(let size)? = response.headers["Content-Range"].flatMap({ ContentRange($0) }) {
                total = size
            }
            let seen = info(response, size: total ?? pinned.size, supportsRanges: true)
            if response.headers["ETag"] != nil || total != pinned.size { try checkVersion(seen, pinned) }
            throw wrongRange("bytes \(asked) of \(pinned.size ?? 0) were asked for, and refused (416)")
        default:
            throw SluiceError(httpStatus: response.status, headers: response.headers, object: location, now: now())
        }
    }

    /// Nothing of another version gets through, and no answer that cannot be true.
    private func checkVersion(_ seen: ObjectInfo, _ pinned: ObjectInfo) throws {
        if isSame(seen, pinned) { return }
        guard seen.pin.contradicts(pinned.pin) else { throw changed(pinned, seen) }
        throw SluiceError(
            .badAnswer,
            object: location,
            "it was \(pinned.pin), it is \(seen.pin) now: one ETag cannot have two lengths",
            remedy: "the server contradicts itself: try again later, or another mirror",
            retry: .backoff
        )
    }

    /// A server whose ranges stay wrong is read in a single stream, from the beginning.
    private func wrongRange(_ message: String) -> SluiceError {
        let isBroken = ranges.noteWrong(location)
        return SluiceError(
            .badAnswer,
            object: location,
            message,
            remedy: isBroken
                ? "the server's ranges are broken: the transfer starts over without them"
                : "another mirror may do better",
            retry: isBroken ? .restart : .backoff
        )
    }

    /// A weak pin is compared as far as it goes; whether that is enough is the runner's decision.
    private func isSame(_ seen: ObjectInfo, _ pinned: ObjectInfo) -> Bool {
        if case .weak(let size, let modified) = pinned.pin {
            guard case .weak(let newSize, let newModified) = seen.pin else { return seen.size == size }
            // A chunked answer has no length to compare; then the time has to tell.
            if size == nil || newSize == nil, size != newSize { return modified != nil && newModified == modified }
            return newSize == size && (modified == nil || newModified == nil || newModified == modified)
        }
        guard case .etag(let tag, let size) = pinned.pin, case .etag(tag, let newSize) = seen.pin else {
            return seen.pin == pinned.pin
        }
        return size == nil || newSize == nil || newSize == size
    }

    private func changed(_ old: ObjectInfo, _ new: ObjectInfo) -> SluiceError {
        SluiceError(
            .sourceChanged,
            object: location,
            "it changed while it was read: it was \(old.pin), it is \(new.pin) now",
            remedy: "run the command again",
            retry: .restart
        )
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws {}
}
