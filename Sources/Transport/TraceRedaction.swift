internal import CCurl
import SluiceBytes

/// What of libcurl's trace may be seen: names of header fields always, values only of those that hold no secret,
/// no query strings, no body bytes. A server may repeat in any field what it was sent.
enum TraceRedaction {
    private static let openFields: Set<String> = [
        "accept", "accept-encoding", "accept-ranges", "connection", "content-length", "content-range", "content-type",
        "date", "etag", "host", "if-match", "if-none-match", "if-range", "last-modified", "range", "retry-after",
        "server",
        "transfer-encoding", "user-agent", "x-amz-request-id",
    ]

    /// - Parameter sent: the request's fields.
    static func lines(_ kind: curl_infotype, _ bytes: UnsafeRawBufferPointer, _ sent: HTTPHeaders) -> [String] {
        let prefix: String
        switch kind {
        case CURLINFO_TEXT: prefix = "*"
        case CURLINFO_HEADER_IN: prefix = "<"
        case CURLINFO_HEADER_OUT: prefix = ">"
        default: return []
        }
        return bytes.split { $0 == 10 || $0 == 13 }.map { line in
            let text = String(decoding: line, as: UTF8.self)
            if kind == CURLINFO_TEXT { return "\(prefix) \(TransportError.withoutQueries(text))" }
            let isRepeated = hidden(of: sent).contains { $0.stands(in: Array(line)) }
            return "\(prefix) \(field(text, isRepeated: isRepeated))"
        }
    }

    private static func field(_ line: String, isRepeated: Bool) -> String {
        let name = line.prefix { $0 != ":" && $0 != " " }
        guard line.dropFirst(name.count).first == ":" else {
            return isRepeated ? "‹hidden›" : TransportError.withoutQueries(line)
        }
        return openFields.contains(name.lowercased()) && !isRepeated ? line : "\(name): ‹hidden›"
    }

    /// The words of the values that are not shown where they were sent.
    private static func hidden(of sent: HTTPHeaders) -> [Secret] {
        sent.filter { !openFields.contains($0.name.lowercased()) }.flatMap { field in
            field.value.utf8.split { " ;=,".utf8.contains($0) }.map { Secret(String(Substring($0))) }
        }
    }
}
