import SluiceBytes
import SluiceTransport
import Synchronization

@testable import SluiceS3

/// An HTTP client that answers from a list, and keeps what it was asked.
final class ScriptedHTTP: HTTPClient {
    enum Step: Sendable {
        case answer(status: Int, headers: [(String, String)], body: String)
        /// Sends `body`, then loses the connection.
        case cut(status: Int, body: String)
        case failure(TransportError.Code)
    }

    private struct State {
        var steps: [Step]
        var requests: [HTTPRequest] = []
    }

    private let state: Mutex<State>
    private let pool = BufferPool()

    init(_ steps: [Step]) {
        state = Mutex(State(steps: steps))
    }

    var requests: [HTTPRequest] { state.withLock { $0.requests } }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let step: Step? = state.withLock { state in
            state.requests.append(request)
            return state.steps.isEmpty ? nil : state.steps.removeFirst()
        }
        switch step {
        case .answer(let status, let headers, let body): return response(status, headers, stream(body, cut: false))
        case .cut(let status, let body): return response(status, [], stream(body, cut: true))
        case .failure(let code): throw TransportError(code, "scripted")
        case nil: throw TransportError(.other, "the script is over: \(request.method) \(request.url)")
        }
    }

    private func stream(_ body: String, cut: Bool) -> CutStream {
        CutStream(ChunkListStream(Chunk.chunks(of: Array(body.utf8), from: pool)), cut: cut)
    }

    private func response(_ status: Int, _ headers: [(String, String)], _ body: CutStream) -> HTTPResponse {
        var fields = HTTPHeaders()
        for (name, value) in headers { fields.append(name, value) }
        return HTTPResponse(status: status, headers: fields, body: body, lengthIsProven: true)
    }
}

/// A body that may end with an error.
final class CutStream: ByteStream {
    private let inner: ChunkListStream
    private let cut: Bool

    init(_ inner: ChunkListStream, cut: Bool) {
        self.inner = inner
        self.cut = cut
    }

    func next() async throws -> Chunk? {
        if let chunk = try await inner.next() { return chunk }
        if cut { throw TransportError(.bodyTruncated, "scripted") }
        return nil
    }

    func cancel() { inner.cancel() }
}

extension ScriptedHTTP.Step {
    static func xml(_ body: String, status: Int = 200, headers: [(String, String)] = []) -> Self {
        .answer(status: status, headers: headers, body: body)
    }

    static func head(_ status: Int, _ headers: [(String, String)] = []) -> Self {
        .answer(status: status, headers: headers, body: "")
    }

    static func error(_ status: Int, _ code: String, _ more: String = "", headers: [(String, String)] = []) -> Self {
        .answer(
            status: status,
            headers: headers,
            body: "<?xml version=\"1.0\"?><Error><Code>\(code)</Code><Message>m</Message>\(more)</Error>"
        )
    }
}

/// Credentials that are fresh whenever they are refused.
actor RenewingCredentials: CredentialsProvider {
    private var generation = 1

    private var current: S3Credentials {
        S3Credentials(
            accessKeyID: "KEY\(generation)",
            secretKey: Secret("secret"),
            sessionToken: Secret("token\(generation)")
        )
    }

    func credentials(now: Timestamp) async throws -> S3Credentials? { current }

    func refreshed(after refused: S3Credentials, now: Timestamp) async throws -> S3Credentials? {
        generation += 1
        return current
    }
}

/// A client over a script. The clock stands at 2013-05-24T00:00:00Z.
struct Fixture {
    let http: ScriptedHTTP
    var client: S3Client
    static let now = Timestamp(epochSeconds: 1_369_353_600)

    init(
        _ steps: [ScriptedHTTP.Step],
        endpoint: String? = "http://127.0.0.1:9000",
        region: String? = nil,
        quirks: EndpointQuirks = .seaweedFS,
        payload: PayloadPolicy = .automatic,
        credentials: any CredentialsProvider = StaticCredentials(
            S3Credentials(accessKeyID: "AKIA", secretKey: Secret("canary-secret"))
        )
    ) {
        http = ScriptedHTTP(steps)
        client = S3Client(
            endpoint: S3Endpoint(base: endpoint.flatMap { HTTPURL($0) }),
            region: region,
            credentials: credentials,
            quirks: quirks,
            http: http,
            payload: payload,
            clock: { Fixture.now }
        )
    }

    func body(_ text: String, checksum: Bool = false) -> S3Body {
        let chunks = Chunk.chunks(of: Array(text.utf8), from: BufferPool())
        return S3Body(chunks, checksum: checksum ? S3Checksum(RunningDigest.hash(.crc32c, of: chunks)) : nil)
    }

    /// What `body` throws, as an S3 error.
    func failure(_ body: (S3Client) async throws -> Void) async -> S3Error? {
        do {
            try await body(client)
            return nil
        } catch {
            return error as? S3Error
        }
    }
}
