import SluiceBytes
import SluiceTransport

/// A request before it is signed: encoded path and query exactly as they go on the wire.
package struct SignableRequest: Sendable {
    package var method: String
    /// The value of the `Host` header: no scheme's own port in it.
    package var authority: String
    /// Encoded once by `S3Encoding.path`, with its leading `/`.
    package var path: String
    package var query: S3Query
    /// Without `Host`.
    package var headers: HTTPHeaders

    package init(
        method: String,
        authority: String,
        path: String,
        query: S3Query = S3Query(),
        headers: HTTPHeaders = [:]
    ) {
        self.method = method
        self.authority = authority
        self.path = path
        self.query = query
        self.headers = headers
    }
}

/// SigV4's canonical request under S3's rules: no dot segment removed, nothing encoded twice.
package struct CanonicalRequest: Sendable {
    /// The text whose SHA-256 is signed.
    package let text: String
    /// `host;x-amz-date;…`
    package let signedHeaders: String

    package init(_ request: SignableRequest, payload: PayloadSigning) {
        let fields = CanonicalRequest.fields(of: request)
        signedHeaders = fields.map(\.name).joined(separator: ";")
        let lines = fields.map { "\($0.name):\($0.value)\n" }.joined()
        text = """
            \(request.method)
            \(request.path)
            \(request.query.canonical)
            \(lines)
            \(signedHeaders)
            \(payload.literal)
            """
    }

    package var hash: String { SHA256.hash(text).hex }

    /// Never signed: what a proxy, a CDN or the transport may add, drop or rewrite on the way.
    private static let unsigned: Set<String> = [
        "authorization", "connection", "expect", "user-agent", "transfer-encoding", "te", "trailer", "upgrade",
        "keep-alive", "x-amzn-trace-id", "accept-encoding",
    ]

    static func isSigned(_ lowercaseName: String) -> Bool {
        !unsigned.contains(lowercaseName) && !lowercaseName.hasPrefix("proxy-")
    }

    private static func fields(of request: SignableRequest) -> [(name: String, value: String)] {
        var values: [String: [String]] = ["host": [request.authority]]
        for field in request.headers {
            let name = field.name.lowercased()
            if name == "host" || !isSigned(name) { continue }
            values[name, default: []].append(collapsed(field.value))
        }
        return values.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .map { (name: $0.key, value: $0.value.joined(separator: ",")) }
    }

    /// Trimmed, and every inner run of blanks made one space.
    private static func collapsed(_ value: String) -> String {
        let words = value.utf8.split { $0 == UInt8(ascii: " ") || (9...13).contains($0) }
        return words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    }
}
