internal import CCurl
import Glibc

extension TransportError {
    /// What libcurl reports as the end of an exchange.
    struct CurlFailure {
        let code: CURLcode
        /// libcurl's own words (`CURLOPT_ERRORBUFFER`).
        let text: String
        /// `errno` of the failed connect, 0 if there is none.
        let systemError: Int32
        /// Whether the connection had served an earlier request, and no head of an answer came.
        let wasStale: Bool
        /// Whether the request had been put on a connection.
        let hadBegun: Bool
        /// Whether the way to the proxy, or its answer to CONNECT, is what failed.
        let proxyFailed: Bool
        /// The proxy's answer to CONNECT, 0 if there is none.
        var proxyStatus = 0
    }

    /// The one place where libcurl's codes become ours.
    init(_ failure: CurlFailure, target: HTTPURL) {
        var code = TransportError.table[failure.code.rawValue] ?? .other
        // CURLE_UNSUPPORTED_PROTOCOL is both a scheme that is not allowed and a peer that does not speak HTTP/1.
        if failure.code == CURLE_UNSUPPORTED_PROTOCOL, failure.hadBegun { code = .protocolViolation }
        // Instead of an answer, what the one before it had too much is no better than nothing.
        if failure.wasStale, [.connectionLost, .protocolViolation].contains(code) { code = .staleConnection }
        if failure.code == CURLE_OPERATION_TIMEDOUT, failure.text.hasPrefix("Resolving") { code = .resolverFailed }
        if code == .tlsFailed, TransportError.refusals.contains(where: failure.text.contains) { code = .tlsRefused }
        if failure.proxyFailed { code = failure.proxyStatus == 407 ? .proxyUnauthorised : .proxyFailed }
        let words = failure.text.isEmpty ? String(cString: curl_easy_strerror(failure.code)) : failure.text
        var message = "\(target): \(TransportError.withoutQueries(words))"
        if failure.systemError != 0, let reason = strerror(failure.systemError) {
            message += " (\(String(cString: reason)))"
        }
        self.init(code, message, curlCode: Int32(failure.code.rawValue))
    }

    /// libcurl quotes URLs in places: what follows a `?` up to a space may be a signature, and goes.
    static func withoutQueries(_ text: String) -> String {
        var kept = ""
        var skipping = false
        for scalar in text.unicodeScalars {
            if skipping, scalar == " " || scalar == "'" || scalar == "\"" || scalar == "\n" { skipping = false }
            if skipping { continue }
            kept.unicodeScalars.append(scalar)
            if scalar == "?" {
                kept += "…"
                skipping = true
            }
        }
        return kept
    }

    /// OpenSSL's words for a handshake that fails in the same way every time.
    private static let refusals = [
        "protocol version", "unsupported protocol", "wrong version number", "no protocols available",
        "no shared cipher",
        "handshake failure",
    ]

    private static let table: [UInt32: Code] = [
        CURLE_UNSUPPORTED_PROTOCOL.rawValue: .forbiddenTarget,
        CURLE_URL_MALFORMAT.rawValue: .forbiddenTarget,
        CURLE_COULDNT_RESOLVE_PROXY.rawValue: .proxyFailed,
        // 7.88.1 does not tell NXDOMAIN from SERVFAIL here; `HostLookup` does.
        CURLE_COULDNT_RESOLVE_HOST.rawValue: .unknownHost,
        CURLE_COULDNT_CONNECT.rawValue: .connectFailed,
        CURLE_WEIRD_SERVER_REPLY.rawValue: .protocolViolation,
        CURLE_HTTP2.rawValue: .protocolViolation,
        CURLE_PARTIAL_FILE.rawValue: .bodyTruncated,
        CURLE_OPERATION_TIMEDOUT.rawValue: .connectFailed,
        CURLE_SSL_CONNECT_ERROR.rawValue: .tlsFailed,
        CURLE_GOT_NOTHING.rawValue: .connectionLost,
        CURLE_SEND_ERROR.rawValue: .connectionLost,
        CURLE_RECV_ERROR.rawValue: .connectionLost,
        CURLE_SSL_CERTPROBLEM.rawValue: .tlsFailed,
        CURLE_SSL_CIPHER.rawValue: .tlsFailed,
        CURLE_PEER_FAILED_VERIFICATION.rawValue: .certificateRejected,
        CURLE_BAD_CONTENT_ENCODING.rawValue: .protocolViolation,
        CURLE_FILESIZE_EXCEEDED.rawValue: .bodyTooLong,
        CURLE_SEND_FAIL_REWIND.rawValue: .connectionLost,
        CURLE_SSL_CACERT_BADFILE.rawValue: .certificateRejected,
        CURLE_SSL_ISSUER_ERROR.rawValue: .certificateRejected,
        CURLE_SSL_INVALIDCERTSTATUS.rawValue: .certificateRejected,
        CURLE_PROXY.rawValue: .proxyFailed,
    ]
}
