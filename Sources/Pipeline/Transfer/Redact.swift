import SluiceBytes

/// Takes secrets out of locations before they are shown or stored.
///
/// Works on the text alone, so that a URL which no parser accepts is redacted as well.
public enum Redact {
    /// The location for people: userinfo and fragment removed, query values replaced by `…`, control bytes escaped.
    public static func location(_ text: String) -> String {
        guard let url = URLParts(text) else { return Printable.text(text) }
        let shown = url.query.map { "?" + $0.map(\.redacted).joined(separator: "&") } ?? ""
        return Printable.text(url.base + shown)
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
        guard let start = URLParts.authorityStart(bytes) else { return [] }
        var spans: [Range<Int>] = []
        let end = bytes[start...].firstIndex { URLParts.endsAuthority($0) } ?? bytes.count
        if let at = bytes[start..<end].lastIndex(of: UInt8(ascii: "@")) { spans.append(start..<at) }
        if let query = bytes[end...].firstIndex(of: UInt8(ascii: "?")), URLParts.isWeb(bytes) {
            spans.append(query + 1..<bytes.count)
        }
        return spans
    }
}

/// A URL cut at its marks, without any check of what lies between them.
private struct URLParts {
    struct Parameter {
        let text: String
        let name: String

        init(_ text: Substring) {
            self.text = String(text)
            name = String(text.prefix { $0 != "=" })
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
        let end = bytes[start...].firstIndex { URLParts.endsAuthority($0) } ?? bytes.count
        let at = bytes[start..<end].lastIndex(of: UInt8(ascii: "@"))
        let host = bytes[(at.map { $0 + 1 } ?? start)..<end]
        hasUserinfo = at != nil
        var target = bytes[end...]
        guard URLParts.isWeb(bytes) else {
            // `?` and `#` are ordinary bytes of a key or a path.
            base = String(decoding: bytes[..<start] + host + target, as: UTF8.self)
            query = nil
            return
        }
        target = target.prefix { $0 != UInt8(ascii: "#") }
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        base = String(decoding: bytes[..<start] + host + path, as: UTF8.self)
        guard path.count < target.count else {
            query = nil
            return
        }
        query = String(decoding: target.dropFirst(path.count + 1), as: UTF8.self)
            .split(separator: "&", omittingEmptySubsequences: true).map { Parameter($0) }
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
