import SluiceBytes

/// What a request carries. Always of known length, and replayable: a retry sends the same bytes.
public enum HTTPBody: Sendable {
    /// Nothing; no `Content-Length` is sent for GET and HEAD, `0` for the other methods.
    case empty
    /// Chunks in order, sent in place without a copy of ours.
    case chunks([Chunk])
    /// Small text such as XML.
    case bytes([UInt8])

    /// The length in bytes.
    public var count: UInt64 {
        switch self {
        case .empty: 0
        case .chunks(let chunks): chunks.reduce(0) { $0 + UInt64($1.count) }
        case .bytes(let bytes): UInt64(bytes.count)
        }
    }
}

/// One HTTP request to one origin. Redirects are never followed here: `RedirectPolicy` decides each hop, and the
/// caller builds the headers of every hop from zero.
public struct HTTPRequest: Sendable {
    /// `GET`, `HEAD`, `PUT`, `POST` or `DELETE`.
    public var method: String
    /// Sent byte for byte: no dot segment is removed and nothing is re-encoded.
    public var url: HTTPURL
    /// Without `Host`, `Content-Length` and `Accept-Encoding`, which the transport sets.
    public var headers: HTTPHeaders
    /// The body.
    public var body: HTTPBody = .empty
    /// More body bytes than this fail the exchange (`.bodyTooLong`), whatever the header announced; nil: no limit.
    public var bodyLimit: UInt64?
    /// Chunks that may wait unread before the socket is paused, beside the one that fills.
    public var window = 2
    /// Books the bytes of the answer's body (and of the request's body) before they pass.
    public var downloadGate: (any FlowGate)?
    /// Books the bytes of the request's body.
    public var uploadGate: (any FlowGate)?
    /// Called on the transport's thread with the body bytes just sent; must not block.
    public var onSent: (@Sendable (Int) -> Void)?
    /// Called on the transport's thread with the body bytes just received; must not block.
    public var onReceived: (@Sendable (Int) -> Void)?
    /// Nothing moved for so long, our own pauses not counted: `.stalled`.
    public var idleTimeout: Duration = .seconds(30)
    /// The wait for the answer once a method with a body (PUT, POST, DELETE) is sent, in place of `idleTimeout`.
    public var responseTimeout: Duration = .seconds(120)
    /// `SO_RCVBUF` and `SO_SNDBUF` of a connection made for this request, in bytes; nil: by the limits of its gates.
    public var socketBuffer: Int?
    /// Which addresses a connection may go to.
    public var addressPolicy: AddressPolicy = .any
    /// Sends `Expect: 100-continue`, and the body after the server's consent or one second. A server that answers 417
    /// wants the request again without it; that is left to the caller.
    public var expectContinue = false

    /// A request with an empty body.
    public init(_ method: String, _ url: HTTPURL, headers: HTTPHeaders = [:]) {
        self.method = method
        self.url = url
        self.headers = headers
    }
}

/// The head of an answer, and its body as it arrives.
public struct HTTPResponse: Sendable {
    /// The final status (1xx are passed over).
    public let status: Int
    /// The fields of the final header block.
    public let headers: HTTPHeaders
    /// Ends with nil only if the body is complete by its framing: length reached, or last chunk seen. A body that
    /// ends with the connection ends with nil too, and `lengthIsProven` is false.
    public let body: any ByteStream
    /// Whether the framing proves the body's end (RFC 9112 §6.3: Content-Length or chunked, not close-delimited).
    public let lengthIsProven: Bool
    /// Where the answer came from; nil behind a proxy and for fakes.
    public let peer: AddressClass?

    /// An answer from its parts (for fakes in tests, too).
    public init(
        status: Int,
        headers: HTTPHeaders,
        body: any ByteStream,
        lengthIsProven: Bool,
        peer: AddressClass? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.lengthIsProven = lengthIsProven
        self.peer = peer
    }
}

extension HTTPResponse {
    /// The whole body in memory, refused beyond `limit` bytes.
    ///
    /// - Throws: `TransportError` of code `.bodyTooLong`, or what cut the body short.
    public func collect(limit: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await body.next() {
            guard bytes.count + chunk.count <= limit else {
                body.cancel()
                throw TransportError(.bodyTooLong, "the answer is longer than \(limit) bytes")
            }
            chunk.withBytes { bytes.append(contentsOf: $0) }
        }
        return bytes
    }
}

/// Sends requests. `CurlTransport` is the real one; tests script their own.
public protocol HTTPClient: Sendable {
    /// Sends `request` and returns when the answer's head is there; its body follows as it is pulled.
    ///
    /// - Throws: `TransportError`, or `CancellationError` within a second of the task's cancellation.
    func send(_ request: HTTPRequest) async throws -> HTTPResponse
}
