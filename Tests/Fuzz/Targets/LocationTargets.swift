import SluiceBytes
import SluicePipeline

/// What a user types, or a list of sources holds: parsed, shown and reduced to its identity.
func location(_ bytes: [UInt8]) {
    let text = String(decoding: bytes, as: UTF8.self)
    for span in Redact.secretSpans(text) {
        precondition(span.lowerBound >= 0 && span.upperBound <= text.utf8.count, "a secret lies within its text")
    }
    _ = Redact.location(text)
    _ = Redact.holdsCredential(Redact.identity(text))
    guard let location = try? Location(parsing: text) else { return }
    precondition(["http", "https", "s3", "file", "-"].contains(location.scheme), "a location has a known scheme")
    if let name = location.baseName {
        precondition(!name.bytes.isEmpty, "a name has a byte")
    }
    if case .s3(let bucket, _) = location.kind { precondition(!bucket.isEmpty, "an S3 location names a bucket") }
}
