import SluiceBytes

/// Takes secrets out of locations before they are shown or stored.
///
/// Works on the text alone, so that a URL which no parser accepts is redacted as well.
public enum Redact {
    /// The location for people: userinfo and fragment removed, query values replaced by `…`, control bytes escaped.
    /// What is no location, or holds another one, is searched for their secrets all the same; shown again, the result
    /// shows itself.
    public static func location(_ text: String) -> String {
        let bytes = Userinfo.removed(from: Array(text.utf8))
        guard let target = queryCarrier(bytes) else { return Printable.text(bytes) }
        let url = bytes[..<(bytes[target...].firstIndex(of: UInt8(ascii: "#")) ?? bytes.count)]
        guard let mark = url[target...].firstIndex(of: UInt8(ascii: "?")) else { return Printable.text(url) }
        let shown = URLParts.parameters(url[(mark + 1)...]).map(\.redacted).joined(separator: "&")
        return Printable.text(url[...mark]) + Printable.text(shown)
    }

    /// The name under which the state store knows a URL that holds secrets: no userinfo, and for the query a digest of
    /// the parameters that select the object. Credential-like parameters are left out of it, so that a freshly signed
    /// URL finds its earlier transfer.
    public static func identity(_ text: String) -> String {
        guard let url = URLParts(text) else { return text }
        let selecting = (url.query ?? []).filter { !$0.isCredential }.map(\.text)
        guard !selecting.isEmpty else { return url.base }
        return url.base + "?q=" + SHA256.hash(selecting.joined(separator: "&")).hex.prefix(16)
    }

    /// Whether the text is a URL with userinfo or a credential-like query parameter.
    public static func holdsCredential(_ text: String) -> Bool {
        guard let url = URLParts(text) else { return false }
        return url.hasUserinfo || (url.query ?? []).contains(where: \.isCredential)
    }

    /// Whether the text is a URL with userinfo or any query.
    public static func mayHoldCredential(_ text: String) -> Bool {
        guard let url = URLParts(text) else { return false }
        return url.hasUserinfo || url.query != nil
    }

    /// The runs of `text` that must not be seen in a process list: userinfo, and the whole query.
    public static func secretSpans(_ text: String) -> [Range<Int>] {
        let bytes = Array(text.utf8)
        let spans = Userinfo.spans(bytes)
        guard let target = queryCarrier(bytes),
            let query = bytes[target...].firstIndex(of: UInt8(ascii: "?"))
        else { return spans }
        let before = spans.filter { $0.lowerBound < query }.map { $0.lowerBound..<min($0.upperBound, query) }
        return before + [query + 1..<bytes.count]
    }

    /// Schemes without queries.
    private static let plain: Set<String> = ["s3", "file", "hf", "civitai", "ms", "modelscope", "ollama"]

    /// Where to look for a query: behind the first `://`, unless `?` and `#` are ordinary bytes of a key or a path.
    private static func queryCarrier(_ bytes: [UInt8]) -> Int? {
        guard let colon = bytes.indices.first(where: { bytes[$0...].starts(with: Userinfo.mark) }) else { return nil }
        let scheme = String(decoding: bytes[..<colon], as: UTF8.self).lowercased()
        return plain.contains(scheme) ? nil : colon + Userinfo.mark.count
    }
}

/// `USER:PASSWORD@` behind `://`, wherever in a text that stands.
private enum Userinfo {
    static let mark = Array("://".utf8)

    /// In order, without their `@`.
    static func spans(_ bytes: [UInt8]) -> [Range<Int>] {
        var spans: [Range<Int>] = []
        var index = 0
        while index + mark.count < bytes.count {
            guard bytes[index...].starts(with: mark) else {
                index += 1
                continue
            }
            index += mark.count
            guard let end = end(bytes, from: index) else { continue }
            spans.append(index..<end)
            index = end
        }
        return spans
    }

    static func removed(from bytes: [UInt8]) -> [UInt8] {
        var rest: [UInt8] = []
        var index = 0
        for span in spans(bytes) {
            rest += bytes[index..<span.lowerBound]
            index = span.upperBound + 1
        }
        return rest + bytes[index...]
    }

    /// Where the userinfo of the authority at `start` ends; nil if it has none.
    static func end(_ bytes: [UInt8], from start: Int) -> Int? {
        let at = UInt8(ascii: "@")
        let authority = bytes[start...].prefix { !URLParts.endsAuthority($0) }
        let end = authority.lastIndex(of: at)
        if let end, isDigest(authority[(end + 1)...]), isOllama(bytes[..<start]) {
            return authority[..<end].lastIndex(of: at)
        }
        // A password with a bare `/`, `?` or `#` ends the authority too early: what precedes is no HOST:PORT then.
        guard !isHost(authority[(end.map { $0 + 1 } ?? start)...]) else { return end }
        return bytes[authority.endIndex...].lastIndex(of: at) ?? end
    }

    /// `MODEL[:TAG]@DIGEST` is a name, of which nothing is secret. Only at the text's own start: what else holds such a
    /// thing is searched as ever.
    private static func isOllama(_ start: ArraySlice<UInt8>) -> Bool {
        String(decoding: start, as: UTF8.self).lowercased() == "ollama://"
    }

    /// `sha256:` and 64 digits.
    private static func isDigest(_ text: ArraySlice<UInt8>) -> Bool {
        let name = Array("sha256:".utf8)
        let digits = text.dropFirst(name.count)
        return text.starts(with: name) && digits.count == 64
            && digits.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// `HOST`, `HOST:PORT` or `[ADDRESS]…`.
    private static func isHost(_ text: ArraySlice<UInt8>) -> Bool {
        if text.first == UInt8(ascii: "["), text.contains(UInt8(ascii: "]")) { return true }
        guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return true }
        return text[(colon + 1)...].allSatisfy { (48...57).contains($0) }
    }
}

/// A URL cut at its marks, without any check of what lies between them.
private struct URLParts {
    struct Parameter {
        let text: String
        let name: String

        init(_ bytes: ArraySlice<UInt8>) {
            text = String(decoding: bytes, as: UTF8.self)
            name = String(decoding: bytes.prefix { $0 != UInt8(ascii: "=") }, as: UTF8.self)
        }

        /// A parameter without `=` may be a bare token: nothing of it is shown.
        var redacted: String { name.utf8.count == text.utf8.count ? "…" : name + "=…" }

        var isCredential: Bool {
            let lower = name.lowercased()
            return URLParts.credentialNames.contains(lower)
                || URLParts.credentialPrefixes.contains { lower.hasPrefix($0) }
        }
    }

    /// Signing parameters of S3, GCS, Azure (SAS) and CloudFront, and what services call their tokens.
    static let credentialNames: Set<String> = [
        "signature", "sig", "sign", "token", "access_token", "auth", "auth_token", "authorization", "key", "api_key",
        "apikey", "api-key", "access_key", "secret", "password", "passwd", "pwd", "expires", "expiry", "expire",
        "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid", "hmac", "jwt", "session",
        // Azure shared access signatures: every field of the signature changes when it is made anew.
        "se", "st", "sp", "sv", "sr", "spr", "sip", "skoid", "sktid", "skt", "ske", "sks", "skv", "ss", "srt",
    ]
    static let credentialPrefixes = ["x-amz-", "x-goog-", "x-ms-", "x-oss-"]

    /// Scheme, authority without userinfo, and path.
    let base: String
    let hasUserinfo: Bool
    let query: [Parameter]?

    init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let start = URLParts.authorityStart(bytes) else { return nil }
        guard URLParts.isWeb(bytes) else {
            // `?` and `#` are ordinary bytes of a key or a path.
            let end = Userinfo.end(bytes, from: start)
            hasUserinfo = end != nil
            base = String(decoding: bytes[..<start] + bytes[(end.map { $0 + 1 } ?? start)...], as: UTF8.self)
            query = nil
            return
        }
        let url = Userinfo.removed(from: bytes).prefix { $0 != UInt8(ascii: "#") }
        hasUserinfo = !Userinfo.spans(bytes).isEmpty
        let path = url.prefix { $0 != UInt8(ascii: "?") }
        base = String(decoding: path, as: UTF8.self)
        query = path.count < url.count ? URLParts.parameters(url.dropFirst(path.count + 1)) : nil
    }

    /// Cut as bytes: `&` and a combining mark behind it are one character.
    static func parameters(_ query: ArraySlice<UInt8>) -> [Parameter] {
        query.split(separator: UInt8(ascii: "&")).map { Parameter($0) }
    }

    /// The offset behind `LETTERS://`.
    static func authorityStart(_ bytes: [UInt8]) -> Int? {
        guard let colon = bytes.firstIndex(of: UInt8(ascii: ":")), colon > 0,
            bytes[..<colon].allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }),
            bytes[colon...].starts(with: Array("://".utf8))
        else { return nil }
        return colon + 3
    }

    static func endsAuthority(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#")
    }

    static func isWeb(_ bytes: [UInt8]) -> Bool {
        String(decoding: bytes.prefix(5), as: UTF8.self).lowercased().hasPrefix("http")
    }
}
