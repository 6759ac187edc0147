import SluiceBytes
import SluicePipeline

/// What a user types, or a list of sources holds: parsed, shown and reduced to its identity.
func location(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    for span in Redact.secretSpans(text) {
        precondition(span.lowerBound >= 0 && span.upperBound <= text.utf8.count, "a secret lies within its text")
    }
    checkShown(text)
    checkSecret(bytes)
    precondition(!Redact.holdsCredential(Redact.identity(text)), "an identity holds no credential")
    guard let location = try? Location(parsing: text) else { return }
    precondition(!location.scheme.isEmpty, "a location has a scheme")
    if let name = location.baseName {
        precondition(!name.bytes.isEmpty, "a name has a byte")
    }
    if case .s3(let bucket, _) = location.kind { precondition(!bucket.isEmpty, "an S3 location names a bucket") }
}

private func checkShown(_ text: String) {
    let shown = Redact.location(text)
    precondition(Redact.location(shown) == shown, "what is shown holds nothing more to hide")
    precondition(shown.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "control bytes are escaped")
}

/// A password between the halves of the input is neither shown, nor left in the process list, nor, of a web location,
/// stored.
private func checkSecret(_ bytes: [UInt8]) {
    let secret = "5eCret~"
    let halves = (bytes[..<(bytes.count / 2)], bytes[(bytes.count / 2)...])
    let before = String(decoding: halves.0, as: UTF8.self)
    let text = "\(before)://user:\(secret)@\(String(decoding: halves.1, as: UTF8.self))"
    guard !holds(bytes, secret) else { return }
    precondition(!holds(Array(Redact.location(text).utf8), secret), "a password is shown")
    checkShown(text)
    var listed = Array(text.utf8)
    for span in Redact.secretSpans(text) {
        for index in span { listed[index] = UInt8(ascii: "x") }
    }
    precondition(!holds(listed, secret), "a password is in the process list")
    guard let location = try? Location(parsing: text), case .web = location.kind else { return }
    precondition(Redact.mayHoldCredential(text), "a password goes unnoticed")
    precondition(!holds(Array(Redact.identity(text).utf8), secret), "a password is stored")
}

private func holds(_ bytes: [UInt8], _ secret: String) -> Bool {
    let needle = Array(secret.utf8)
    return bytes.indices.contains { bytes[$0...].starts(with: needle) }
}
