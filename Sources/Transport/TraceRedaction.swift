internal import CCurl

/// What of libcurl's trace may be seen: names of header fields always, values only of those that hold no secret,
/// no query strings, no body bytes.
enum TraceRedaction {
    private static let openFields: Set<String> = [
        "accept-encoding", "accept-ranges", "connection", "content-length", "content-range", "content-type", "date",
        "etag", "host", "if-match", "if-none-match", "if-range", "last-modified", "range", "retry-after", "server",
        "transfer-encoding", "user-agent", "x-amz-request-id",
    ]

    static func lines(_ kind: curl_infotype, _ bytes: UnsafeRawBufferPointer) -> [String] {
        let prefix: String
        switch kind {
        case CURLINFO_TEXT: prefix = "*"
        case CURLINFO_HEADER_IN: prefix = "<"
        case CURLINFO_HEADER_OUT: prefix = ">"
        default: return []
        }
        return bytes.split { $0 == 10 || $0 == 13 }.map { line in
            let text = String(decoding: line, as: UTF8.self)
            return "\(prefix) \(kind == CURLINFO_TEXT ? TransportError.withoutQueries(text) : field(text))"
        }
    }

    static func field(_ line: String) -> String {
        let name = line.prefix { $0 != ":" && $0 != " " }
        guard line.dropFirst(name.count).first == ":" else { return TransportError.withoutQueries(line) }
        return openFields.contains(name.lowercased()) ? line : "\(name): ‹hidden›"
    }
}
