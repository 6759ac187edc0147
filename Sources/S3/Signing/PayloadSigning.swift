import SluiceBytes

/// What the signature says about the body: the value of `x-amz-content-sha256`.
package enum PayloadSigning: Sendable, Hashable {
    /// The body's SHA-256 in hexadecimal.
    case signed(String)
    /// The body is not signed: only over TLS, or with a checksum header.
    case unsigned
    /// aws-chunked, every chunk signed.
    case streamingSigned
    /// aws-chunked, every chunk and the trailer signed.
    case streamingSignedTrailer
    /// aws-chunked, nothing of the body signed, a checksum in the trailer.
    case streamingUnsignedTrailer

    /// The SHA-256 of no bytes.
    package static let emptyHash = SHA256.hash("").hex

    /// The literal of the canonical request's last line.
    package var literal: String {
        switch self {
        case .signed(let hex): hex
        case .unsigned: "UNSIGNED-PAYLOAD"
        case .streamingSigned: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
        case .streamingSignedTrailer: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
        case .streamingUnsignedTrailer: "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
        }
    }

    /// Whether the body is framed as aws-chunked.
    package var isStreaming: Bool {
        switch self {
        case .signed, .unsigned: false
        case .streamingSigned, .streamingSignedTrailer, .streamingUnsignedTrailer: true
        }
    }
}
