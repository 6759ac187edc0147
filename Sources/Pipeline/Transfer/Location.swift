import SluiceBytes

/// What a user types to name an object, a directory, a prefix or a pipe. Parsing is pure: nothing is looked at.
public struct Location: Hashable, Sendable, CustomStringConvertible {
    /// Which kind of place, with its parts as bytes: no percent-decoding but where the form asks for it.
    public enum Kind: Hashable, Sendable {
        /// An `http` or `https` URL as typed, secrets included.
        case web(String)
        /// A bucket, and a key (empty: the whole bucket). The key is taken as it stands: `%20` is three bytes.
        case s3(bucket: String, key: ObjectKey)
        /// A path that leads into a content store, to a tree in it or to a file of a tree.
        case cas(ObjectKey)
        /// A path of this machine, absolute or relative.
        case path(ObjectKey)
        /// Anything else with a scheme, `SCHEME://REST`: what it means is for whoever registered the scheme.
        case named(scheme: String, rest: ObjectKey)
        /// `urn:…` (RFC 8141), whole: what it means is for whoever registered `urn`.
        case urn(String)
        /// `-`: standard input as a source, standard output as a sink.
        case stream
    }

    /// Why a text is not a location: one sentence for the user, with no secret of the text in it.
    public struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
        /// What is wrong, and what to type instead.
        public let description: String
    }

    /// The kind and its parts.
    public let kind: Kind
    /// Whether it was written as a directory or a prefix: it ends in `/`, or it is a bare bucket.
    public let namesContainer: Bool

    /// A location from its kind.
    public init(_ kind: Kind) {
        self.kind = kind
        switch kind {
        case .web(let url): namesContainer = Location.pathOfURL(url).last == UInt8(ascii: "/")
        case .s3(_, let key): namesContainer = key.bytes.isEmpty || key.bytes.last == UInt8(ascii: "/")
        case .named(_, let rest): namesContainer = rest.bytes.last == UInt8(ascii: "/")
        case .path(let path), .cas(let path): namesContainer = Location.isDirectoryName(path.bytes)
        case .stream, .urn: namesContainer = false
        }
    }

    /// Parses what a user typed. `LETTERS://`, `cas:` and `urn:` are schemes, any other `NAME:` without a `/` before the colon is
    /// a configured store, everything else a path; `./a:b` is how a path with an early colon is written.
    public init(parsing text: String) throws(Refusal) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty else { throw Refusal(description: "an empty location: name a URL, a path or -") }
        guard !bytes.contains(0) else { throw Refusal(description: "a location cannot hold a zero byte") }
        self.init(try Location.kind(text, bytes))
    }

    private static func kind(_ text: String, _ bytes: [UInt8]) throws(Refusal) -> Kind {
        if text == "-" { return .stream }
        if bytes.starts(with: casScheme) { return .cas(try storePath(Array(bytes.dropFirst(casScheme.count)))) }
        guard let (scheme, rest) = splitScheme(bytes) else {
            if isURN(bytes) { return .urn(text) }
            try refuseStoreName(bytes)
            return .path(ObjectKey(bytes: bytes))
        }
        switch scheme {
        case "http", "https": return .web(try webURL(text, rest))
        case "s3": return try s3(rest)
        case "file": return .path(try filePath(rest))
        default: return .named(scheme: scheme, rest: ObjectKey(bytes: rest))
        }
    }

    /// The scheme under which a source or a sink is registered: `https`, `http`, `s3`, `file`, `-`, or any other.
    public var scheme: String {
        switch kind {
        case .web(let url): url.utf8.prefix { $0 != UInt8(ascii: ":") }.count == 4 ? "http" : "https"
        case .s3: "s3"
        case .named(let scheme, _): scheme
        case .urn: "urn"
        case .cas: "cas"
        case .path: "file"
        case .stream: "-"
        }
    }

    /// The last component of its path, percent-decoded for a URL; nil if it names none (a bare host, a bucket, `-`).
    public var baseName: ObjectKey? {
        let path: [UInt8]
        switch kind {
        case .web(let url): path = Location.pathOfURL(url)
        case .s3(_, let key): path = key.bytes
        case .path(let key), .cas(let key), .named(_, let key): path = key.bytes
        case .stream, .urn: return nil
        }
        guard let last = path.split(separator: UInt8(ascii: "/")).last, !last.isEmpty else { return nil }
        guard case .web = kind else { return ObjectKey(bytes: last) }
        return ObjectKey(bytes: LocalPath.percentDecoded(Array(last)) ?? Array(last))
    }

    /// For another process: parses to this location again, secrets included.
    public var text: String {
        switch kind {
        case .web(let url): url
        case .urn(let name): name
        case .s3(let bucket, let key): "s3://\(bucket)/\(key.text)"
        case .named(let scheme, let rest): "\(scheme)://\(rest.text)"
        case .cas(let path): "cas:" + Location.text(path)
        case .path(let path): Location.text(path)
        case .stream: "-"
        }
    }

    /// The path of this machine that it is, or that leads into a content store; nil for every other kind.
    package var localPath: LocalPath? {
        switch kind {
        case .path(let path), .cas(let path): LocalPath(typed: path.bytes)
        case .web, .s3, .named, .urn, .stream: nil
        }
    }

    /// For people: no userinfo, no query values, no control bytes.
    public var description: String { Redact.location(text) }
}

// MARK: - The forms

extension Location {
    /// The scheme in lower case and what follows `://`; nil if the text has none (RFC 3986 §3.1).
    private static func splitScheme(_ bytes: [UInt8]) -> (scheme: String, rest: [UInt8])? {
        let name = bytes.prefix { isSchemeByte($0) }
        guard let first = name.first, isLetter(first), bytes[name.count...].starts(with: Array("://".utf8)) else {
            return nil
        }
        return (String(decoding: name, as: UTF8.self).lowercased(), Array(bytes[(name.count + 3)...]))
    }

    private static let casScheme = Array("cas:".utf8)

    /// `urn:NAMESPACE:…`, in any case of letters.
    private static func isURN(_ bytes: [UInt8]) -> Bool {
        String(decoding: bytes.prefix(4), as: UTF8.self).lowercased() == "urn:"
            && bytes.dropFirst(4).drop { $0 != UInt8(ascii: ":") }.count > 1
    }

    /// A path, or a `file://` URL where it is no printable text.
    private static func storePath(_ rest: [UInt8]) throws(Refusal) -> ObjectKey {
        guard !rest.isEmpty else {
            throw Refusal(description: "cas: without a path: write cas:/STORE/NAME[@REVISION][/PATH]")
        }
        guard !rest.starts(with: Array("//".utf8)) else {
            throw Refusal(description: "after cas: comes a path, with one / in front: cas:/srv/models/llama")
        }
        guard let (scheme, url) = splitScheme(rest) else { return ObjectKey(bytes: rest) }
        guard scheme == "file" else { throw Refusal(description: "after cas: comes a path, not \(scheme)://") }
        return try filePath(url)
    }

    /// `NAME:PATH` belongs to stores of the configuration file; a drive letter or a typing error must not become a
    /// file of that name.
    private static func refuseStoreName(_ bytes: [UInt8]) throws(Refusal) {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            bytes[..<colon].allSatisfy({ isSchemeByte($0) || $0 == UInt8(ascii: "_") })
        else { return }
        let name = String(decoding: bytes[..<colon], as: UTF8.self)
        let hint = "write ./ before the name if it is a file of this directory"
        throw Refusal(description: "\(name): names a configured store, and none is configured; \(hint)")
    }

    private static func webURL(_ text: String, _ rest: [UInt8]) throws(Refusal) -> String {
        guard text.utf8.count <= 16_384 else { throw Refusal(description: "a URL longer than 16,384 bytes") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }) else {
            throw Refusal(description: "a URL cannot hold spaces, control bytes or backslashes: percent-encode them")
        }
        let authority = rest.prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        guard let host = authority.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false).last,
            !host.isEmpty, host.first != UInt8(ascii: ":")
        else { throw Refusal(description: "a URL without a host") }
        return text
    }

    private static func s3(_ rest: [UInt8]) throws(Refusal) -> Kind {
        let bucket = rest.prefix { $0 != UInt8(ascii: "/") }
        guard !bucket.isEmpty else { throw Refusal(description: "s3:// without a bucket: write s3://BUCKET/KEY") }
        guard !bucket.contains(UInt8(ascii: "@")) else {
            throw Refusal(description: "credentials do not belong into s3:// locations: use AWS_* or --profile")
        }
        // Wider than AWS allows: old buckets and other servers have capitals and underscores.
        guard bucket.count <= 255, bucket.allSatisfy({ isSchemeByte($0) || $0 == UInt8(ascii: "_") }) else {
            throw Refusal(description: "a bucket's name holds letters, digits, dots and hyphens")
        }
        let key = rest.dropFirst(bucket.count + 1)
        guard key.count <= 1024 else {
            throw Refusal(description: "a key of \(key.count) bytes; S3 takes 1,024 at most")
        }
        return .s3(bucket: String(decoding: bucket, as: UTF8.self), key: ObjectKey(bytes: key))
    }

    /// RFC 8089: the host is empty or `localhost`, the path absolute and percent-encoded.
    private static func filePath(_ rest: [UInt8]) throws(Refusal) -> ObjectKey {
        let host = rest.prefix { $0 != UInt8(ascii: "/") }
        guard host.isEmpty || String(decoding: host, as: UTF8.self).lowercased() == "localhost" else {
            throw Refusal(description: "file:// takes an absolute path of this machine: file:///srv/models")
        }
        guard let path = LocalPath.percentDecoded(Array(rest[host.count...])) else {
            throw Refusal(description: "in file:// a % is followed by two hexadecimal digits; % itself is %25")
        }
        guard !path.isEmpty else { throw Refusal(description: "file:// without a path") }
        guard !path.contains(0) else { throw Refusal(description: "a path cannot hold a zero byte") }
        return ObjectKey(bytes: path)
    }

    /// The bytes between the authority and `?` or `#`.
    private static func pathOfURL(_ url: String) -> [UInt8] {
        guard let (_, rest) = splitScheme(Array(url.utf8)) else { return [] }
        let target = rest.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        return Array(target.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
    }

    private static func isDirectoryName(_ path: [UInt8]) -> Bool {
        guard let last = path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).last else {
            return false
        }
        return last.isEmpty || last.elementsEqual(Array(".".utf8)) || last.elementsEqual(Array("..".utf8))
    }

    /// A path as text that parses to the same bytes: as it is, with `./` in front of what would be something else, or
    /// percent-encoded if it is not UTF-8.
    private static func text(_ path: ObjectKey) -> String {
        guard let text = path.losslessText else { return "\(LocalPath(path.bytes))" }
        do {
            return try kind(text, path.bytes) == .path(path) ? text : "./" + text
        } catch {
            return "./" + text
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (65...90).contains(byte) || (97...122).contains(byte) }

    private static func isSchemeByte(_ byte: UInt8) -> Bool {
        isLetter(byte) || (48...57).contains(byte)
            || [UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ".")].contains(byte)
    }
}
