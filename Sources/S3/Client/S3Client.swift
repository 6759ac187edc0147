import SluiceBytes
import SluiceTransport

/// An S3 endpoint with one way to sign in. Copies share what was learnt (`state`).
///
/// Each operation makes one signed attempt, and a second one only for what the first taught: the bucket's region, the
/// server's clock, fresh credentials, a stale connection. Every other retry is the pipeline's; `S3Error.kind` says
/// whether it helps. Errors are `S3Error`, `CredentialsError`, `TransportError` and `CancellationError`.
package struct S3Client: Sendable {
    package let endpoint: S3Endpoint
    package let region: String?
    package let credentials: any CredentialsProvider
    package var quirks: EndpointQuirks
    package var payload: PayloadPolicy
    package let state: S3EndpointState
    let http: any HTTPClient
    let clock: @Sendable () -> Timestamp
    let keys = SigningKeyCache()
    let pool: BufferPool

    /// - Parameter clock: this machine's time; the server's offset is added here.
    package init(
        endpoint: S3Endpoint,
        region: String? = nil,
        credentials: any CredentialsProvider,
        quirks: EndpointQuirks,
        http: any HTTPClient,
        payload: PayloadPolicy = .automatic,
        state: S3EndpointState = S3EndpointState(),
        pool: BufferPool = BufferPool(),
        clock: @escaping @Sendable () -> Timestamp
    ) {
        self.endpoint = endpoint
        self.region = region
        self.credentials = credentials
        self.quirks = quirks
        self.payload = payload
        self.state = state
        self.http = http
        self.clock = clock
        self.pool = pool
    }

    /// The region to sign for: learnt, given, or the one that every server accepts.
    package func region(of bucket: String?) -> String {
        bucket.flatMap { state.region(of: $0) } ?? region ?? "us-east-1"
    }

    /// The server's time, as far as it is known.
    package var serverNow: Timestamp { now }

    /// Whether a body's SHA-256 goes into the signature.
    package var signsPayload: Bool {
        switch payload {
        case .signed: true
        case .automatic: !(endpoint.isTLS && quirks.unsignedPayload)
        case .unsigned, .chunkSigned, .chunkSignedTrailer, .unsignedTrailer: false
        }
    }

    /// The server's time, as far as it is known.
    var now: Timestamp { clock().advanced(by: state.clockOffset) }
}
