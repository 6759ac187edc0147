/// An absolute `http` or `https` URL, kept byte for byte as it will be sent.
///
/// Parsing refuses what no server needs and attacks use: control bytes, spaces, backslashes, other schemes. Userinfo
/// is taken out and kept apart, so that it reaches neither a log nor another origin.
public struct HTTPURL: Sendable, Hashable, CustomStringConvertible {
    /// `http` or `https`.
    public let scheme: String
    /// Lower-case name, IPv4 address, or IPv6 address in brackets.
    public let host: String
    /// The port, the scheme's own where none is written.
    public let port: UInt16
    /// Begins with `/`; percent-encoded as given.
    public let path: String
    /// Without `?`; nil if there is none.
    public let query: String?
    /// `user:password` as written; nil if there is none.
    public let userinfo: String?

    /// Scheme, host and port: credentials belong to exactly one origin (RFC 6454).
    public var origin: String { "\(scheme)://\(authority)" }

    /// Host, and the port if it is not the scheme's own: the value of the `Host` header.
    public var authority: String { port == HTTPURL.defaultPort(scheme) ? host : "\(host):\(port)" }

    /// The host without the brackets of an IPv6 address.
    var bareHost: String { host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host }

    /// The URL for the wire, without userinfo.
    public var text: String { origin + path + (query.map { "?" + $0 } ?? "") }

    /// The URL for people and logs: userinfo and query left out, since signed URLs carry their secret there.
    public var description: String { origin + path + (query == nil ? "" : "?…") }

    static func defaultPort(_ scheme: String) -> UInt16 { scheme == "https" ? 443 : 80 }

    /// A URL from checked parts.
    public init?(scheme: String, host: String, port: UInt16? = nil, path: String, query: String? = nil) {
        let portText = port.map { ":\($0)" } ?? ""
        self.init("\(scheme)://\(host)\(portText)\(path)" + (query.map { "?" + $0 } ?? ""))
    }

    /// Parses an absolute URL; nil if it is not one that may be sent. A fragment is dropped.
    public init?(_ text: String) {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "\\") }), text.utf8.count <= 16_384,
            let schemeEnd = text.range(of: "://")
        else { return nil }
        let scheme = text[..<schemeEnd.lowerBound].lowercased()
        guard scheme == "http" || scheme == "https" else { return nil }
        let rest = text[schemeEnd.upperBound...].prefix { $0 != "#" }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        let target = rest.dropFirst(authority.count)
        let at = authority.lastIndex(of: "@")
        let hostPort = at.map { authority[authority.index(after: $0)...] } ?? authority
        guard let (host, port) = HTTPURL.split(hostPort) else { return nil }
        let pathPart = target.prefix { $0 != "?" }
        self.scheme = scheme
        self.host = host
        self.port = port ?? HTTPURL.defaultPort(scheme)
        path = pathPart.isEmpty ? "/" : String(pathPart)
        query = pathPart.count == target.count ? nil : String(target.dropFirst(pathPart.count + 1))
        userinfo = at.map { String(authority[..<$0]) }
    }

    private static func split(_ text: Substring) -> (host: String, port: UInt16?)? {
        let hostEnd: Substring.Index
        if text.first == "[" {
            guard let bracket = text.firstIndex(of: "]") else { return nil }
            hostEnd = text.index(after: bracket)
            let inner = text[text.index(after: text.startIndex)..<bracket]
            guard !inner.isEmpty, inner.utf8.allSatisfy({ isHex($0) || $0 == 58 || $0 == 46 }) else { return nil }
        } else {
            hostEnd = text.firstIndex(of: ":") ?? text.endIndex
            let name = text[..<hostEnd]
            guard !name.isEmpty, name.utf8.count <= 253, name.utf8.allSatisfy(isNameByte) else { return nil }
        }
        let rest = text[hostEnd...]
        if rest.isEmpty { return (text[..<hostEnd].lowercased(), nil) }
        guard rest.first == ":" else { return nil }
        if rest.count == 1 { return (text[..<hostEnd].lowercased(), nil) }
        guard let port = UInt16(rest.dropFirst()), port > 0, rest.dropFirst().utf8.allSatisfy({ $0 >= 48 && $0 <= 57 })
        else { return nil }
        return (text[..<hostEnd].lowercased(), port)
    }

    private static func isHex(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...70).contains(byte) || (97...102).contains(byte)
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == 45 || byte == 46
            || byte == 95
    }
}

extension HTTPURL {
    /// Resolves a `Location` value against this URL (RFC 3986 §5.2); nil if the result may not be sent.
    public func resolving(_ reference: String) -> HTTPURL? {
        if reference.range(of: "://") != nil, let first = reference.first, first.isLetter { return HTTPURL(reference) }
        let reference = reference.prefix { $0 != "#" }
        if reference.hasPrefix("//") { return HTTPURL("\(scheme):\(reference)") }
        if reference.hasPrefix("/") { return HTTPURL(origin + reference) }
        if reference.hasPrefix("?") { return HTTPURL(origin + path + reference) }
        if reference.isEmpty { return self }
        if reference.prefix(while: { $0 != "/" && $0 != "?" }).contains(":") { return nil }
        let folder = path[...(path.lastIndex(of: "/") ?? path.startIndex)]
        let pathPart = reference.prefix { $0 != "?" }
        return HTTPURL(origin + HTTPURL.removingDots(folder + pathPart) + reference.dropFirst(pathPart.count))
    }

    /// RFC 3986 §5.2.4.
    private static func removingDots(_ path: some StringProtocol) -> String {
        var kept: [Substring] = []
        let segments = String(path).dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        for (index, segment) in segments.enumerated() {
            let isLast = index == segments.count - 1
            switch segment {
            case ".": if isLast { kept.append("") }
            case "..":
                _ = kept.popLast()
                if isLast { kept.append("") }
            default: kept.append(segment)
            }
        }
        return "/" + kept.joined(separator: "/")
    }
}

extension String {
    fileprivate func range(of needle: String) -> Range<String.Index>? {
        let haystack = utf8
        let pattern = Array(needle.utf8)
        var start = haystack.startIndex
        while start != haystack.endIndex {
            if haystack[start...].starts(with: pattern) {
                return start..<haystack.index(start, offsetBy: pattern.count)
            }
            start = haystack.index(after: start)
        }
        return nil
    }
}
