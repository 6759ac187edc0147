/// Decides a redirect, one hop at a time. Pure: the caller sends the next request, with headers built from zero.
public enum RedirectPolicy {
    /// Hops of one request, counted across re-resolves.
    public static let hopLimit = 10
    /// The longest `Location`, in bytes.
    public static let locationLimit = 8 << 10

    /// What to do with an answer.
    public enum Decision: Sendable, Equatable {
        /// Not a redirect.
        case final
        /// Ask there. Across origins no header of the old request may go along.
        case follow(HTTPURL, sameOrigin: Bool)
        /// Neither an answer nor a way on.
        case refuse(Refusal)
    }

    /// Why a redirect is not followed.
    public enum Refusal: String, Sendable, Equatable, Error {
        /// No `Location`, or more than one.
        case noLocation = "the redirect has no single Location"
        /// Longer than `locationLimit`.
        case locationTooLong = "the redirect's Location is longer than 8 KiB"
        /// More than `hopLimit` hops.
        case tooManyHops = "more than 10 redirects"
        /// From https to http.
        case downgrade = "the redirect leads from https to http"
        /// Another scheme than http and https.
        case forbiddenScheme = "the redirect leads out of http and https"
        /// A user name or password in `Location`.
        case userinfo = "the redirect's Location holds a user name"
        /// Not a URL that may be sent.
        case malformed = "the redirect's Location is not a URL"
        /// 300, 304 to a GET without condition, 305 and the like, and 303 for a write.
        case unsupportedStatus = "the redirect's status cannot be followed"
        /// A write is redirected: the caller decides, on 307 and 308 only.
        case methodWouldChange = "the redirect would turn a write into a GET"
    }

    /// Judges the answer to `method` at `url`.
    ///
    /// - Parameter hops: Redirects followed so far.
    public static func decide(
        method: String,
        url: HTTPURL,
        status: Int,
        headers: HTTPHeaders,
        hops: Int
    ) -> Decision {
        guard (300...399).contains(status), status != 304 else { return .final }
        guard [301, 302, 303, 307, 308].contains(status) else { return .refuse(.unsupportedStatus) }
        let isRead = method == "GET" || method == "HEAD"
        guard isRead || status == 307 || status == 308 else { return .refuse(.methodWouldChange) }
        guard hops < hopLimit else { return .refuse(.tooManyHops) }
        let locations = headers.all("Location")
        guard locations.count == 1, let location = locations.first, !location.isEmpty else {
            return .refuse(.noLocation)
        }
        guard location.utf8.count <= locationLimit else { return .refuse(.locationTooLong) }
        if let scheme = scheme(of: location), scheme != "http", scheme != "https" { return .refuse(.forbiddenScheme) }
        guard let next = url.resolving(location) else { return .refuse(.malformed) }
        guard next.userinfo == nil else { return .refuse(.userinfo) }
        if url.scheme == "https", next.scheme == "http" { return .refuse(.downgrade) }
        return .follow(next, sameOrigin: sameOrigin(url, next))
    }

    /// Whether credentials for one may go to the other: same scheme, host and port.
    public static func sameOrigin(_ left: HTTPURL, _ right: HTTPURL) -> Bool {
        left.scheme == right.scheme && left.host == right.host && left.port == right.port
    }

    /// Which addresses the next hop may reach: a public origin must not lead into the private network.
    public static func addressPolicy(after peer: AddressClass?) -> AddressPolicy {
        peer == .global ? .publicOnly : .notMetadata
    }

    /// The scheme before the first colon, if the text has one there (RFC 3986 §3.1), in lower case.
    private static func scheme(of text: String) -> String? {
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let scheme = text[..<colon]
        guard let first = scheme.utf8.first, (first | 32) >= 97, (first | 32) <= 122,
            scheme.utf8.allSatisfy({ byte in
                (48...57).contains(byte) || (97...122).contains(byte | 32) || byte == 43 || byte == 45 || byte == 46
            })
        else { return nil }
        return scheme.lowercased()
    }
}
