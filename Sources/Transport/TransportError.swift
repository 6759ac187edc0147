/// Why an exchange failed below HTTP's own statuses.
public struct TransportError: Error, Sendable, CustomStringConvertible {
    /// A bounded set, for retry decisions and metrics.
    public enum Code: String, Sendable {
        /// The name does not exist (NXDOMAIN).
        case unknownHost
        /// The resolver did not answer or failed for now.
        case resolverFailed
        /// Refused, unreachable, or no connection within the connect timeout.
        case connectFailed
        /// The certificate or host name was not accepted; never retried.
        case certificateRejected
        /// The TLS handshake failed otherwise.
        case tlsFailed
        /// The two sides have no TLS version or cipher in common, or the peer speaks no TLS; never retried.
        case tlsRefused
        /// The proxy wants credentials, or others (407).
        case proxyUnauthorised
        /// The proxy refused or failed.
        case proxyFailed
        /// The connection ended or was reset in mid-exchange.
        case connectionLost
        /// A kept-alive connection was closed before the first byte of the answer, or something else stood there: one free
        /// replay.
        case staleConnection
        /// Fewer body bytes than announced, or no last chunk.
        case bodyTruncated
        /// More body bytes than announced or allowed.
        case bodyTooLong
        /// Nothing moved for the idle timeout.
        case stalled
        /// Not HTTP/1, conflicting framing, a header flood, forbidden bytes in a header.
        case protocolViolation
        /// The scheme or address is not allowed.
        case forbiddenTarget
        /// The transport was shut down.
        case shutDown
        /// Anything else libcurl reports.
        case other
    }

    /// What kind of failure.
    public let code: Code
    /// What happened, without URL query or header values; both values where two differ.
    public let message: String
    /// libcurl's code, 0 if it was not libcurl.
    public let curlCode: Int32

    /// An error from its parts.
    public init(_ code: Code, _ message: String, curlCode: Int32 = 0) {
        self.code = code
        self.message = message
        self.curlCode = curlCode
    }

    /// `connectionLost: …`.
    public var description: String { "\(code.rawValue): \(message)" }
}
