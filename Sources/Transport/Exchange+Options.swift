internal import CCurl
import SluiceBytes

/// The options of every transfer. Values and reasons: docs/decisions/0002-curl-loop.md.
extension Exchange {
    /// Makes the handle and sets everything on it.
    func prepare() throws(TransportError) {
        guard var easy = EasyHandle() else { throw TransportError(.other, "libcurl has no memory for a handle") }
        // An address that is written out is judged here: a proxy would resolve it, and libcurl will not look at IPv6
        // on a machine that has none.
        if let kind = AddressClass(text: request.url.bareHost), !request.addressPolicy.allows(kind) {
            throw TransportError(
                .forbiddenTarget,
                "\(request.url): is a \(kind) address, which a redirect may not reach"
            )
        }
        try Exchange.setFixed(easy)
        try setConnection(easy)
        try setRequest(&easy)
        try setCallbacks(easy)
        self.easy = consume easy
    }

    private static func setFixed(_ easy: borrowing EasyHandle) throws(TransportError) {
        try easy.set(CURLOPT_NOSIGNAL, 1)
        // Else removing a handle joins its resolver thread, and a hanging DNS server freezes every transfer.
        try easy.set(CURLOPT_QUICK_EXIT, 1)
        try easy.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        try easy.set(CURLOPT_HTTP09_ALLOWED, 0)
        try easy.set(CURLOPT_FOLLOWLOCATION, 0)
        try easy.set(CURLOPT_UNRESTRICTED_AUTH, 0)
        try easy.set(CURLOPT_AUTOREFERER, 0)
        try easy.set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        try easy.set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
        try easy.set(CURLOPT_PATH_AS_IS, 1)
        try easy.set(CURLOPT_HTTP_CONTENT_DECODING, 0)
        try easy.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        try easy.set(CURLOPT_DNS_CACHE_TIMEOUT, 60)
        try easy.set(CURLOPT_DNS_SHUFFLE_ADDRESSES, 1)
        try easy.set(CURLOPT_TCP_KEEPALIVE, 1)
        try easy.set(CURLOPT_TCP_KEEPIDLE, 30)
        try easy.set(CURLOPT_TCP_KEEPINTVL, 10)
        try easy.set(CURLOPT_MAXLIFETIME_CONN, 600)
        try easy.set(CURLOPT_TIMEOUT_MS, 0)
        try easy.set(CURLOPT_NOPROGRESS, 1)
    }

    private func setConnection(_ easy: borrowing EasyHandle) throws(TransportError) {
        let limit = request.downloadGate?.bytesPerSecond
        try easy.set(CURLOPT_BUFFERSIZE, PacedSize.portion(limit, most: configuration.receiveBuffer))
        try easy.set(CURLOPT_MAXAGE_CONN, configuration.keptIdle)
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, configuration.connectTimeout.wholeMilliseconds)
        try easy.set(CURLOPT_PROXY, proxy ?? "")
        try easy.set(CURLOPT_NOPROXY, "")
        try easy.set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        try easy.set(CURLOPT_SSL_VERIFYPEER, configuration.insecure ? 0 : 1)
        try easy.set(CURLOPT_SSL_VERIFYHOST, configuration.insecure ? 0 : 2)
        if let caFile = configuration.caFile {
            try easy.set(CURLOPT_CAINFO, caFile)
            try easy.set(CURLOPT_PROXY_CAINFO, caFile)
        }
    }

    private func setRequest(_ easy: inout EasyHandle) throws(TransportError) {
        try easy.set(CURLOPT_URL, request.url.text)
        // Never empty or "none" (CVE-2024-2004).
        try easy.set(CURLOPT_PROTOCOLS_STR, request.url.scheme)
        try easy.set(CURLOPT_REDIR_PROTOCOLS_STR, "https")
        switch request.method {
        case "GET": try easy.set(CURLOPT_HTTPGET, 1)
        case "HEAD": try easy.set(CURLOPT_NOBODY, 1)
        default:
            // An upload whatever the method: POSTFIELDS would add a Content-Type of its own, and holds the body twice.
            try easy.set(CURLOPT_UPLOAD, 1)
            try easy.set(CURLOPT_CUSTOMREQUEST, request.method)
            try easy.set(CURLOPT_INFILESIZE_LARGE, count: upload.count)
            try easy.set(CURLOPT_UPLOAD_BUFFERSIZE, configuration.uploadBuffer)
            try easy.set(CURLOPT_EXPECT_100_TIMEOUT_MS, 1000)
        }
        try easy.setHeaders(headerLines())
    }

    /// The request's fields as libcurl takes them: `Name: value`, `Name;` for an empty value, `Name:` for none.
    func headerLines() throws(TransportError) -> [String] {
        let ours = ["Host", "Content-Length", "Accept-Encoding", "Transfer-Encoding", "Expect"]
        var lines = ["Accept-Encoding: identity"]
        for (name, value) in request.headers where !ours.contains(where: { HTTPHeaders.equal($0, name) }) {
            guard !name.isEmpty, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }),
                value.utf8.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 9 })
            else { throw TransportError(.other, "the request's field \(name.debugDescription) holds a control byte") }
            lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        if request.headers["User-Agent"] == nil { lines.append("User-Agent: \(configuration.userAgent)") }
        // 7.88.1 sends Expect with every body, which can cost a second each.
        lines.append(request.expectContinue ? "Expect: 100-continue" : "Expect:")
        return lines
    }

    private func setCallbacks(_ easy: borrowing EasyHandle) throws(TransportError) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        let raw = easy.raw
        try easy.set(CURLOPT_PRIVATE, context)
        try easy.set(CURLOPT_HEADERDATA, context)
        try easy.check(sluice_setopt_data(raw, CURLOPT_HEADERFUNCTION, onHeader), CURLOPT_HEADERFUNCTION)
        try easy.set(CURLOPT_WRITEDATA, context)
        try easy.check(sluice_setopt_data(raw, CURLOPT_WRITEFUNCTION, onBody), CURLOPT_WRITEFUNCTION)
        try easy.set(CURLOPT_READDATA, context)
        try easy.check(sluice_setopt_data(raw, CURLOPT_READFUNCTION, onRead), CURLOPT_READFUNCTION)
        try easy.set(CURLOPT_SEEKDATA, context)
        try easy.check(sluice_setopt_seek(raw, onSeek), CURLOPT_SEEKFUNCTION)
        try easy.set(CURLOPT_PREREQDATA, context)
        try easy.check(sluice_setopt_prereq(raw, onStart), CURLOPT_PREREQFUNCTION)
        try easy.set(CURLOPT_OPENSOCKETDATA, context)
        try easy.check(sluice_setopt_opensocket(raw, onOpenSocket), CURLOPT_OPENSOCKETFUNCTION)
        try easy.set(CURLOPT_SOCKOPTDATA, context)
        try easy.check(sluice_setopt_sockopt(raw, onSocketOption), CURLOPT_SOCKOPTFUNCTION)
        if configuration.trace != nil {
            try easy.set(CURLOPT_DEBUGDATA, context)
            try easy.check(sluice_setopt_debug(raw, onTrace), CURLOPT_DEBUGFUNCTION)
            try easy.set(CURLOPT_VERBOSE, 1)
        }
    }
}

extension Duration {
    /// Rounded down, within 0 and 2^31 - 1.
    var wholeMilliseconds: Int {
        let (seconds, attoseconds) = components
        if seconds < 0 || attoseconds < 0 { return 0 }
        return seconds > 2_000_000 ? 2_000_000_000 : Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
    }
}
