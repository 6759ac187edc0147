import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3
import SluiceTransport
import Synchronization
import Testing

@testable import SluiceSinks

/// A bucket of one object. What it answers can be lost, whatever it did.
private final class OneObjectServer: HTTPClient {
    struct Stored: Sendable {
        var size: UInt64
        var metadata: [String: String]
    }

    struct State: Sendable {
        var object: Stored?
        var methods: [String] = []
        /// Requests of these methods are done, and their answers lost, once each.
        var losesAnswerOf: [String] = []
        /// Looks fail with a 500, so many times.
        var blindLooks = 0
        /// Somebody else writes this before our PUT gets there.
        var rival: Stored?
    }

    let state: Mutex<State>

    init(_ state: State = State()) { self.state = Mutex(state) }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        let isBucket = request.url.path.utf8.count { $0 == UInt8(ascii: "/") } < 2
        return try state.withLock { state in
            guard !isBucket else { return OneObjectServer.answer(200, [:]) }
            state.methods.append(request.method)
            switch request.method {
            case "HEAD": return OneObjectServer.look(&state)
            case "PUT":
                if let rival = state.rival { state.object = rival }
                if state.object != nil, request.headers["If-None-Match"] != nil {
                    return OneObjectServer.answer(412, [:])
                }
                state.object = Stored(size: request.body.count, metadata: OneObjectServer.metadata(request.headers))
                if let index = state.losesAnswerOf.firstIndex(of: "PUT") {
                    state.losesAnswerOf.remove(at: index)
                    throw TransportError(.connectionLost, "scripted")
                }
                return OneObjectServer.answer(200, ["ETag": "\"e\""])
            default: return OneObjectServer.answer(501, [:])
            }
        }
    }

    private static func look(_ state: inout State) -> HTTPResponse {
        if state.blindLooks > 0 {
            state.blindLooks -= 1
            return answer(500, [:])
        }
        guard let object = state.object else { return answer(404, [:]) }
        var headers = ["Content-Length": "\(object.size)", "ETag": "\"e\""]
        for (name, value) in object.metadata { headers["x-amz-meta-\(name)"] = value }
        return answer(200, headers)
    }

    private static func metadata(_ headers: HTTPHeaders) -> [String: String] {
        var found: [String: String] = [:]
        for field in headers where field.name.lowercased().hasPrefix("x-amz-meta-") {
            found[String(field.name.lowercased().dropFirst(11))] = field.value
        }
        return found
    }

    private static func answer(_ status: Int, _ headers: [String: String]) -> HTTPResponse {
        var fields = HTTPHeaders()
        for (name, value) in headers { fields.append(name, value) }
        return HTTPResponse(status: status, headers: fields, body: ChunkListStream([]), lengthIsProven: true)
    }
}

/// What a commit means when an answer was lost, here or in an earlier process.
@Suite struct S3CommitTests {
    private static let bytes: [UInt8] = [1, 2, 3, 4]
    private static let token = "00112233445566778899aabbccddeeff"
    private static let digest = bytes.withUnsafeBytes { SHA256.hash($0) }

    private func session(_ server: OneObjectServer, resume: Bool = false) async throws -> S3Session {
        let client = S3Client(
            endpoint: S3Endpoint(base: HTTPURL("http://127.0.0.1:9000")),
            credentials: AnonymousCredentials(),
            quirks: .ceph,
            http: server,
            clock: { Timestamp(epochSeconds: 1_369_353_600) }
        )
        let connection = S3Connection(
            client: client,
            bucket: "bucket",
            account: "a",
            retrying: Retrying(resources: PipelineResources(memory: .mebibytes(1)))
        )
        let size = UInt64(S3CommitTests.bytes.count)
        let record = S3SessionRecord(mode: .put, token: S3CommitTests.token)
        let plan = WritePlan(
            size: size,
            partSize: size,
            info: ObjectInfo(size: size, pin: .etag("\"s\"", size: size), supportsRanges: true),
            resume: resume ? record.encoded : nil
        )
        return S3Session(
            connection: connection,
            key: ObjectKey("k"),
            client: client,
            settings: S3WriteSettings(),
            plan: plan
        )
    }

    private func stage(_ session: S3Session) async throws {
        let chunks = Chunk.chunks(of: S3CommitTests.bytes, from: BufferPool())
        let part = Part(index: 0, range: ByteRange(0, UInt64(S3CommitTests.bytes.count)))
        _ = try await session.write(
            part: part,
            chunks: chunks,
            digests: [RunningDigest.hash(.crc32c, of: chunks)],
            options: WriteOptions()
        )
    }

    private var request: CommitRequest {
        CommitRequest(size: UInt64(S3CommitTests.bytes.count), sha256: S3CommitTests.digest, receipts: [])
    }

    @Test func `a commit without its bytes writes nothing`() async throws {
        let server = OneObjectServer()
        let session = try await session(server, resume: true)
        let error = await #expect(throws: SluiceError.self) { _ = try await session.commit(request) }
        #expect(error?.retry == .restart)
        #expect(server.state.withLock { $0.methods.allSatisfy { $0 == "HEAD" } && $0.object == nil })
    }

    @Test func `an object that an earlier process made is found by its token`() async throws {
        let metadata = ["sluice-write-id": S3CommitTests.token, "sluice-sha256": S3CommitTests.digest.hex]
        let server = OneObjectServer(.init(object: OneObjectServer.Stored(size: 4, metadata: metadata)))
        let stored = try await session(server, resume: true).commit(request)
        #expect(stored.size == 4)
        #expect(server.state.withLock { $0.methods.allSatisfy { $0 == "HEAD" } })
    }

    @Test func `after a lost answer and a lost look the next step is a look`() async throws {
        let server = OneObjectServer(.init(losesAnswerOf: ["PUT"], blindLooks: 1))
        let session = try await session(server)
        try await stage(session)
        await #expect(throws: SluiceError.self) { _ = try await session.commit(request) }
        _ = try await session.commit(request)
        #expect(server.state.withLock { $0.methods.count { $0 == "PUT" } } == 1)
    }

    @Test(arguments: [true, false])
    func `who comes second accepts equal content only`(isSame: Bool) async throws {
        let theirs = isSame ? S3CommitTests.digest.hex : String(repeating: "0", count: 64)
        let rival = OneObjectServer.Stored(
            size: 4,
            metadata: ["sluice-write-id": "another", "sluice-sha256": theirs]
        )
        let server = OneObjectServer(.init(rival: rival))
        let session = try await session(server)
        try await stage(session)
        guard !isSame else {
            let stored = try await session.commit(request)
            #expect(stored.note?.contains("somebody else") == true)
            return
        }
        let error = await #expect(throws: SluiceError.self) { _ = try await session.commit(request) }
        #expect(error?.code == .exists)
        #expect(error?.message.contains(theirs) == true && error?.message.contains(S3CommitTests.digest.hex) == true)
    }
}
