import SluiceBytes

/// The chain of signatures of an aws-chunked body: each signs its chunk and the signature before it.
///
/// See: AWS, `sigv4-streaming.html` and `sigv4-streaming-trailers.html`.
package struct ChunkSigner: Sendable {
    private let key: [UInt8]
    package let scope: String
    private let timestamp: String
    private var previous: String

    init(key: [UInt8], scope: String, timestamp: String, previous: String) {
        self.key = key
        self.scope = scope
        self.timestamp = timestamp
        self.previous = previous
    }

    func seeded(with signature: String) -> ChunkSigner {
        ChunkSigner(key: key, scope: scope, timestamp: timestamp, previous: signature)
    }

    func sign(_ text: String) -> String {
        TextEncoding.hex(HMACSHA256.authenticate(Array(text.utf8), key: key))
    }

    /// Signs the next chunk by its SHA-256; the last chunk has no bytes.
    package mutating func next(chunkHash: String) -> String {
        previous = sign(
            "AWS4-HMAC-SHA256-PAYLOAD\n\(timestamp)\n\(scope)\n\(previous)\n\(PayloadSigning.emptyHash)\n\(chunkHash)"
        )
        return previous
    }

    /// Signs the trailer: lower-case names and values, each line ended by a bare `\n` in the hash.
    package mutating func trailer(_ fields: [(name: String, value: String)]) -> String {
        let lines = fields.map { "\($0.name):\($0.value)\n" }.joined()
        previous = sign("AWS4-HMAC-SHA256-TRAILER\n\(timestamp)\n\(scope)\n\(previous)\n\(SHA256.hash(lines).hex)")
        return previous
    }
}
