import SluiceBytes
import SluiceTransport

func contentRange(_ bytes: [UInt8]) {
    switch ContentRange(String(decoding: bytes, as: UTF8.self)) {
    case .range(let range, let total):
        precondition(range.lower < range.upper, "a range holds a byte")
        precondition(total.map { range.upper <= $0 } ?? true, "a range ends within its total")
    case .unsatisfied, nil: break
    }
}

func contentDisposition(_ bytes: [UInt8]) {
    guard let name = ContentDisposition.fileName(String(decoding: bytes, as: UTF8.self)) else { return }
    precondition(!name.isEmpty && name.count <= ContentDisposition.nameLimit, "a name has 1 to 255 bytes")
    precondition(!name.contains { $0 == UInt8(ascii: "/") || $0 < 0x20 || $0 == 0x7F }, "a name is one plain component")
    precondition(name != Array(".".utf8) && name != Array("..".utf8), "a name leads nowhere")
}

/// The first line is `Retry-After`, the second `Date`.
func retryAfter(_ bytes: [UInt8]) {
    let lines = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
    var headers = HTTPHeaders()
    headers.append("Retry-After", lines[0])
    if lines.count == 2 { headers.append("Date", lines[1]) }
    if let delay = RetryAfter.delay(headers, localNow: 1_767_225_600) {
        precondition(delay >= .zero && delay <= .seconds(3600), "a delay lies between now and the cap")
    }
    guard let date = HTTPDate(lines[0]) else { return }
    precondition(HTTPDate(date.description) == date, "a date reads back as itself")
}

func httpURL(_ bytes: [UInt8]) {
    guard let url = HTTPURL(String(decoding: bytes, as: UTF8.self)) else { return }
    check(url)
}

/// The first line is the URL asked for, the second the answer's `Location`.
func redirect(_ bytes: [UInt8]) {
    let lines = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        .map { String(decoding: $0, as: UTF8.self) }
    guard lines.count == 2, let url = HTTPURL(lines[0]) else { return }
    var headers = HTTPHeaders()
    headers.append("Location", lines[1])
    let decision = RedirectPolicy.decide(method: "GET", url: url, status: 302, headers: headers, hops: 0)
    guard case .follow(let next, let sameOrigin) = decision else { return }
    check(next)
    precondition(next.userinfo == nil, "no redirect brings credentials")
    precondition(url.scheme == "http" || next.scheme == "https", "no redirect leaves TLS")
    precondition(sameOrigin == (url.origin == next.origin), "an origin is scheme, host and port")
}

/// What holds of every URL that was taken.
private func check(_ url: HTTPURL) {
    precondition(!url.host.isEmpty && url.path.utf8.first == UInt8(ascii: "/"), "a URL has a host and a path")
    precondition(url.text.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7F }, "no byte of a URL ends a request line")
    guard let again = HTTPURL(url.text) else { preconditionFailure("a URL reads back") }
    precondition(again.text == url.text && again.origin == url.origin, "a URL reads back as itself")
}
