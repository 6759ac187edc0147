import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// An object behind a URL: looked at by its first GET, never by HEAD (many signed URLs and CDNs refuse it, and its
/// length is only a hint), read by ranges that are pinned to a strong ETag.
final class HTTPObject: SourceObject {
    let location: String
    private let url: HTTPURL
    private let follower: RedirectFollower
    private let now: @Sendable () -> Int64
    /// The end of the last redirect chain: ranges go there directly until it refuses (an expired signed URL).
    private let resolved: Mutex<HTTPURL>

    init(
        url: HTTPURL,
        headers: HTTPHeaders,
        client: any HTTPClient,
        location: String,
        now: @escaping @Sendable () -> Int64
    ) {
        self.url = url
        self.location = location
        self.now = now
        follower = RedirectFollower(client: client, url: url, headers: headers, object: location)
        resolved = Mutex(url)
    }

    var host: String { url.origin }

    /// The last component of the URL's path, decoded.
    var nameInURL: ObjectKey {
        ObjectKey(bytes: PercentDecoding.bytes(url.path.split(separator: "/").last ?? ""))
    }

    // MARK: - Looking

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let asked = ByteRange(0, max(1, prefetch))
        let answer = try await follower.get(from: url, conditions: ["Range": asked.httpRange ?? ""], options: options)
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
        resolved.withLock { $0 = answer.url }
        let response = answer.response
        switch response.status {
        case 206:
            guard let (range, total) = HTTPObject.contentRange(response), range.lower == 0,
                range.upper == min(asked.upper, total)
            else { return try await openWithoutRange(answer, options) }
            try checkContent(response, answer.url)
            let info = info(response, size: total, supportsRanges: true)
            guard wantsBody else {
                response.body.cancel()
                return OpenedObject(info: info)
            }
            return OpenedObject(info: info, stream: body(response, range.count), streamRange: range)
        case 200:
            try checkContent(response, answer.url)
            return whole(response)
        case 416:
            response.body.cancel()
            if case .unsatisfied(total: 0)? = response.headers["Content-Range"].flatMap({ ContentRange($0) }) {
                let info = info(response, size: 0, supportsRanges: false)
                return OpenedObject(info: info, stream: ChunkListStream([]), streamRange: ByteRange(0, 0))
            }
            return try await openWithoutRange(answer, options)
        default:
            response.body.cancel()
            throw SluiceError(httpStatus: response.status, headers: response.headers, object: location, now: now())
        }
    }

    /// A server that answers a range wrongly is not asked for one again.
    private func openWithoutRange(
        _ answer: RedirectFollower.Answer,
        _ options: ReadOptions
    ) async throws -> OpenedObject {
        answer.response.body.cancel()
        let plain = try await follower.get(from: url, conditions: [:], options: options)
        resolved.withLock { $0 = plain.url }
        guard plain.response.status == 200 else {
            plain.response.body.cancel()
            throw SluiceError(
                httpStatus: plain.response.status,
                headers: plain.response.headers,
                object: location,
                now: now()
            )
        }
        do {
            try checkContent(plain.response, plain.url)
        } catch {
            plain.response.body.cancel()
            throw error
        }
        return whole(plain.response)
    }

    private func whole(_ response: HTTPResponse) -> OpenedObject {
        let size = HTTPObject.contentLength(response)
        let info = info(response, size: size, supportsRanges: false)
        let stream: any ByteStream = size.map { body(response, $0) } ?? RemoteStream(response.body, object: location)
        return OpenedObject(info: info, stream: stream, streamRange: ByteRange(0, size ?? .max))
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
            proposedName: proposed.map { ObjectKey(bytes: $0) } ?? nameInURL
        )
    }

    // MARK: - Reading

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        guard let asked = range.httpRange, range.upper != .max else {
            if range.isEmpty { return ChunkListStream([]) }
            return try await readWhole(info, options)
        }
        var conditions: HTTPHeaders = ["Range": asked]
        // RFC 9110 §13.1.5: a weak tag must not be sent in If-Range.
        if case .etag(let tag, _) = info.pin { conditions["If-Range"] = tag }
        let start = resolved.withLock { $0 }
        var answer = try await follower.get(from: start, conditions: conditions, options: options)
        if start != url, [401, 403, 404, 410].contains(answer.response.status) {
            answer.response.body.cancel()
            answer = try await follower.get(from: url, conditions: conditions, options: options)
            resolved.withLock { $0 = answer.url }
        }
        do {
            try checkPart(answer.response, range, info)
        } catch {
            answer.response.body.cancel()
            throw error
        }
        return body(answer.response, range.count)
    }

    private func readWhole(_ info: ObjectInfo, _ options: ReadOptions) async throws -> any ByteStream {
        let answer = try await follower.get(from: url, conditions: [:], options: options)
        guard answer.response.status == 200 else {
            answer.response.body.cancel()
            throw SluiceError(
                httpStatus: answer.response.status,
                headers: answer.response.headers,
                object: location,
                now: now()
            )
        }
        return RemoteStream(answer.response.body, object: location)
    }

    private func checkPart(_ response: HTTPResponse, _ asked: ByteRange, _ pinned: ObjectInfo) throws {
        switch response.status {
        case 206:
            guard let (range, total) = HTTPObject.contentRange(response), range == asked else {
                throw SluiceError(
                    .badAnswer,
                    object: location,
                    "bytes \(asked) were asked for, the answer is \(HTTPObject.shown(response, "Content-Range"))",
                    remedy: "the server's ranges are broken; try --connections 1 or another mirror",
                    retry: .backoff
                )
            }
            let seen = info(response, size: total, supportsRanges: true)
            guard isSame(seen, pinned) else { throw changed(pinned, seen) }
            try checkEncoding(response)
        case 200:
            let seen = info(response, size: HTTPObject.contentLength(response), supportsRanges: false)
            if seen.pin == pinned.pin {
                throw SluiceError(
                    .badAnswer,
                    object: location,
                    "the server ignores the range \(asked) that it granted before",
                    remedy: "the transfer starts over",
                    retry: .restart
                )
            }
            throw changed(pinned, seen)
        case 412: throw changed(pinned, info(response, size: nil, supportsRanges: true))
        case 416:
            var seen = info(response, size: nil, supportsRanges: true)
            if case .unsatisfied(let total)? = response.headers["Content-Range"].flatMap({ ContentRange($0) }) {
                seen = info(response, size: total, supportsRanges: true)
            }
            throw changed(pinned, seen)
        default:
            throw SluiceError(httpStatus: response.status, headers: response.headers, object: location, now: now())
        }
    }

    /// A weak pin is compared as far as it goes; whether that is enough is the runner's decision.
    private func isSame(_ seen: ObjectInfo, _ pinned: ObjectInfo) -> Bool {
        if case .weak(let size, let modified) = pinned.pin {
            guard case .weak(let newSize, let newModified) = seen.pin else { return seen.size == size }
            return newSize == size && (modified == nil || newModified == nil || newModified == modified)
        }
        return seen.pin == pinned.pin
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
