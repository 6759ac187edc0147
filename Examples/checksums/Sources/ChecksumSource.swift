import SluiceBytes
import SluiceCLI
import SluicePipeline
import SluiceSources
import SluiceTransport

/// A directory of a web server with a `SHA256SUMS` beside its files, as `sha256sum *` writes it, or one file of it:
/// `sums://HOST/DIR/`, `sums://HOST/DIR/FILE`. What the list names is what there is, and what files are compared with.
struct ChecksumSource: Source {
    let location: String
    private let url: HTTPURL
    private let lists: ChecksumLists
    private let services: SourceServices

    init(
        at location: Location,
        over scheme: String,
        _ lists: ChecksumLists,
        _ services: SourceServices
    ) throws {
        guard case .named(_, let rest) = location.kind, let url = HTTPURL("\(scheme)://\(rest.text)"),
            url.query == nil, url.userinfo == nil
        else {
            throw SluiceError(.usage, object: "\(location)", "wanted is \(location.scheme)://HOST/DIR/ or a file there")
        }
        (self.location, self.url, self.lists, self.services) = (location.text, url, lists, services)
    }

    private var isDirectory: Bool { url.path.hasSuffix("/") }

    func isSingleObject() async throws -> Bool { !isDirectory }

    func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        AsyncThrowingStream { continuation in
            let task = Task {
                do {
                    for item in try await items() { continuation.yield(item) }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func items() async throws -> [ListingItem] {
        guard isDirectory else {
            let name = ChecksumList.decoded(url.path.split(separator: "/").last ?? "")
            return [.entry(SourceEntry(relativeKey: ObjectKey(""), baseName: name, location: location))]
        }
        let list = try await lists.list(besides: url, services, ReadOptions(pool: BufferPool(retained: 1)))
        return list.digests.keys.sorted().map { name in
            // Unknown is not absent: what cannot be had is named, and the run tells of it.
            if let reason = ChecksumList.refusal(of: name) {
                return .skipped(SluiceError(.badAnswer, object: location, "\(name) in SHA256SUMS \(reason)"))
            }
            let place = location + ChecksumList.encoded(name)
            return .entry(SourceEntry(relativeKey: name, baseName: name, location: place))
        }
    }

    func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let path = url.path + (relativeKey == ObjectKey("") ? "" : ChecksumList.encoded(relativeKey))
        guard let file = HTTPURL(scheme: url.scheme, host: url.host, port: url.port, path: path) else {
            throw SluiceError(.usage, object: location, "\(relativeKey) is no name for a file there")
        }
        let place = location + (relativeKey == ObjectKey("") ? "" : ChecksumList.encoded(relativeKey))
        let time = services.time
        let web = HTTPSource(url: file, client: services.client, location: place, now: { time.wallSeconds() })
        return ChecksumObject(web: try web.object(ObjectKey("")), url: file, lists: lists, services: services)
    }
}

/// A file: read as any other of the web, and published with the digest of the list.
struct ChecksumObject: SourceObject {
    let web: any SourceObject
    let url: HTTPURL
    let lists: ChecksumLists
    let services: SourceServices

    var location: String { web.location }
    var host: String { web.host }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let list = try await lists.list(besides: url, services, options)
        let name = ChecksumList.decoded(url.path.split(separator: "/").last ?? "")
        guard let digest = list.digests[name] else {
            throw SluiceError(.notFound, object: location, "SHA256SUMS beside it does not name \(name)")
        }
        var opened = try await web.open(prefetch: prefetch, options: options)
        opened.info.published.insert(digest, at: 0)
        return opened
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        try await web.read(range, of: info, options: options)
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws { try await web.confirmUnchanged(info) }
}

/// The lists of this process: each is asked for once.
actor ChecksumLists {
    private var known: [HTTPURL: Task<ChecksumList, any Error>] = [:]
    private static let limit: UInt64 = 1 << 20

    func list(besides url: HTTPURL, _ services: SourceServices, _ options: ReadOptions) async throws -> ChecksumList {
        let directory = url.path.prefix(through: url.path.lastIndex(of: "/") ?? url.path.startIndex)
        guard let sums = HTTPURL(scheme: url.scheme, host: url.host, port: url.port, path: directory + "SHA256SUMS")
        else { throw SluiceError(.usage, object: "\(url)", "has no directory") }
        let task = known[sums] ?? Task { try await ChecksumLists.fetch(sums, services, options) }
        known[sums] = task
        do {
            return try await task.value
        } catch {
            // The next attempt asks again.
            known[sums] = nil
            throw error
        }
    }

    private static func fetch(
        _ url: HTTPURL,
        _ services: SourceServices,
        _ options: ReadOptions
    ) async throws -> ChecksumList {
        let time = services.time
        let object = try HTTPSource(url: url, client: services.client, now: { time.wallSeconds() })
            .object(ObjectKey(""))
        let opened = try await object.open(prefetch: limit, options: options)
        guard let size = opened.info.size, size <= limit else {
            opened.stream?.cancel()
            throw SluiceError(
                .badAnswer,
                object: object.location,
                "has \(opened.info.size.map { "\($0) bytes" } ?? "no length"), and at most \(limit) are read"
            )
        }
        // A server without ranges has only this one answer.
        let whole = ByteRange(0, size)
        let stream =
            if let begun = opened.stream { begun } else {
                try await object.read(whole, of: opened.info, options: options)
            }
        defer { stream.cancel() }
        var bytes: [UInt8] = []
        while let chunk = try await stream.next() { bytes += chunk.bytes }
        return try ChecksumList(parsing: bytes, object.location)
    }
}

/// What a `SHA256SUMS` says: hostile until it is parsed.
struct ChecksumList: Sendable {
    private(set) var digests: [ObjectKey: Digest] = [:]

    /// Lines of 64 hexadecimal digits, a space, a space or `*`, and a name (sha256sum(1)).
    init(parsing bytes: [UInt8], _ object: String) throws {
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let hex = String(decoding: line.prefix(64), as: UTF8.self)
            let name = ObjectKey(bytes: line.dropFirst(66))
            guard line.count > 66, line[line.startIndex + 64] == UInt8(ascii: " "),
                let digest = Digest(.sha256, hex: hex), digests.updateValue(digest, forKey: name) == nil
            else {
                let shown = Printable.text(String(decoding: line.prefix(80), as: UTF8.self))
                throw SluiceError(.badAnswer, object: object, "a line names no file, or one twice: \(shown)")
            }
        }
    }

    /// Why a file of this name is not taken; nil if it is.
    static func refusal(of name: ObjectKey) -> String? {
        name.bytes.contains(UInt8(ascii: "/")) ? "is in another directory, which has a list of its own" : nil
    }

    /// RFC 3986, section 2.3: everything but unreserved characters as `%XX`.
    static func encoded(_ name: ObjectKey) -> String {
        name.bytes.map { byte in
            let scalar = Unicode.Scalar(byte)
            let isPlain =
                scalar.isASCII && (scalar.properties.isAlphabetic || "0123456789-._~".unicodeScalars.contains(scalar))
            let hex = String(byte, radix: 16, uppercase: true)
            return isPlain ? String(scalar) : "%" + (hex.count < 2 ? "0" : "") + hex
        }.joined()
    }

    static func decoded(_ text: some StringProtocol) -> ObjectKey {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), digits.utf8.count == 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return ObjectKey(bytes: bytes)
    }
}
