import SluiceBytes
import SluicePipeline
import SluiceTestSupport
import SluiceTransport
import Synchronization
import Testing

@testable import SluiceSources

/// Answers each request in turn, and keeps it.
private final class Answers: HTTPClient {
    private let answers: Mutex<[HTTPResponse]>
    let requests = Mutex<[HTTPRequest]>([])

    init(_ answers: HTTPResponse...) { self.answers = Mutex(answers) }

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        requests.withLock { $0.append(request) }
        return try answers.withLock { answers in
            guard !answers.isEmpty else { throw TransportError(.other, "nothing more was scripted") }
            return answers.removeFirst()
        }
    }
}

@Suite("An object of the web")
struct HTTPObjectTests {
    private static func response(_ status: Int, _ headers: HTTPHeaders, peer: AddressClass? = .global) -> HTTPResponse {
        HTTPResponse(status: status, headers: headers, body: ChunkListStream([]), lengthIsProven: true, peer: peer)
    }

    private static func part(_ range: String, etag: String = "\"1\"") -> HTTPResponse {
        response(206, ["Content-Range": "bytes \(range)", "ETag": etag])
    }

    private func object(_ client: any HTTPClient) throws -> any SourceObject {
        let url = try #require(HTTPURL("https://public.example/m.bin"))
        return try HTTPSource(url: url, client: client, now: { 0 }).object(ObjectKey(""))
    }

    private let options = ReadOptions(pool: BufferPool())

    @Test("where a public redirect led must stay public for every later range (D-28)")
    func rebinding() async throws {
        let client = Answers(
            Self.response(302, ["Location": "https://elsewhere.example/m.bin"]),
            Self.part("0-0/100"),
            Self.part("50-99/100")
        )
        let object = try object(client)
        let opened = try await object.open(prefetch: 0, options: options)
        _ = try await object.read(ByteRange(50, 100), of: opened.info, options: options)
        let asked = client.requests.withLock { $0.map { "\($0.url.host) \($0.addressPolicy)" } }
        #expect(asked == ["public.example any", "elsewhere.example publicOnly", "elsewhere.example publicOnly"])
    }

    @Test(
        "a later range is checked before its body is read",
        arguments: [
            (Self.part("49-99/100"), SluiceError.Code.badAnswer, SluiceError.Retry.backoff),
            (Self.part("50-99/101"), .badAnswer, .backoff),
            (Self.part("50-99/100", etag: "\"2\""), .sourceChanged, .restart),
            (Self.response(206, ["ETag": "\"1\""]), .badAnswer, .backoff),
            (Self.response(200, ["ETag": "\"1\"", "Content-Length": "100"]), .badAnswer, .backoff),
            (Self.response(200, ["ETag": "\"1\""]), .badAnswer, .backoff),
            (Self.response(200, ["ETag": "\"1\"", "Content-Length": "0"]), .badAnswer, .backoff),
            (Self.response(200, ["ETag": "\"2\"", "Content-Length": "100"]), .sourceChanged, .restart),
            (Self.response(200, ["Content-Type": "text/html"]), .notAuthorised, .park),
            (Self.response(204, ["ETag": "\"1\""]), .badAnswer, .backoff),
            (Self.response(416, ["Content-Range": "bytes */100"]), .badAnswer, .backoff),
            (Self.response(416, ["Content-Range": "bytes */60"]), .sourceChanged, .restart),
            (Self.response(416, [:]), .sourceChanged, .restart),
            (Self.response(412, [:]), .sourceChanged, .restart),
        ]
    )
    func check(answer: HTTPResponse, code: SluiceError.Code, retry: SluiceError.Retry) async throws {
        let object = try object(Answers(Self.part("0-0/100"), answer))
        let opened = try await object.open(prefetch: 0, options: options)
        let failure = await #expect(throws: SluiceError.self) {
            _ = try await object.read(ByteRange(50, 100), of: opened.info, options: options)
        }
        #expect(failure?.code == code)
        #expect(failure?.retry == retry)
    }

    @Test(
        "a second answer that stands for the whole object is checked like the first one",
        arguments: [
            (Self.response(200, ["ETag": "\"2\""]), SluiceError.Code.sourceChanged),
            (Self.response(200, ["ETag": "\"1\"", "Content-Type": "text/html"]), .notAuthorised),
            (Self.response(200, ["ETag": "\"1\"", "Content-Encoding": "gzip"]), .badAnswer),
            (
                HTTPResponse(
                    status: 200,
                    headers: ["ETag": "\"1\""],
                    body: ChunkListStream([]),
                    lengthIsProven: false,
                    peer: nil
                ), .badAnswer
            ),
            (Self.response(403, [:]), .notAuthorised),
        ]
    )
    func second(answer: HTTPResponse, code: SluiceError.Code) async throws {
        let object = try object(Answers(Self.response(200, ["ETag": "\"1\""]), answer))
        let opened = try await object.open(prefetch: 1, options: options)
        #expect(opened.info.size == nil && opened.info.endIsProven)
        let failure = await #expect(throws: SluiceError.self) {
            _ = try await object.read(ByteRange(0, .max), of: opened.info, options: options)
        }
        #expect(failure?.code == code, "\(failure?.description ?? "")")
    }

    @Test(
        "a length that only one of two answers tells is no other version",
        arguments: [
            (["ETag": "\"1\""], ["ETag": "\"1\"", "Content-Length": "100"], true),
            (["ETag": "\"1\"", "Content-Length": "100"], ["ETag": "\"1\""], true),
            (["ETag": "\"1\"", "Content-Length": "100"], ["ETag": "\"1\"", "Content-Length": "99"], false),
            (["Last-Modified": "a"], ["Last-Modified": "a", "Content-Length": "100"], true),
            (["Last-Modified": "a", "Content-Length": "100"], ["Last-Modified": "b"], false),
            (["Content-Length": "100"], [:], false),
        ] as [(HTTPHeaders, HTTPHeaders, Bool)]
    )
    func lengths(first: HTTPHeaders, second: HTTPHeaders, isSame: Bool) async throws {
        let object = try object(Answers(Self.response(200, first), Self.response(200, second)))
        let opened = try await object.open(prefetch: 1, options: options)
        let whole = ByteRange(0, opened.info.size ?? .max)
        do {
            _ = try await object.read(whole, of: opened.info, options: options)
            #expect(isSame)
        } catch {
            #expect(!isSame, "\(error)")
        }
    }

    @Test("the whole of an object without ranges is asked for without one")
    func wholeWithoutRange() async throws {
        let whole = Self.response(200, ["ETag": "\"1\"", "Content-Length": "100"])
        let client = Answers(whole, whole, Self.response(200, ["ETag": "\"1\""]))
        let object = try object(client)
        let opened = try await object.open(prefetch: 1, options: options)
        _ = try await object.read(ByteRange(0, 100), of: opened.info, options: options)
        #expect(client.requests.withLock { $0.map { $0.headers["Range"] } } == ["bytes=0-0", nil])
        let unmeasured = try await object.read(ByteRange(0, 100), of: opened.info, options: options)
        let failure = await #expect(throws: SluiceError.self) { _ = try await unmeasured.next() }
        #expect(failure?.code == .truncated, "a length that was told is not forgotten")
    }

    @Test("ranges that are wrong twice in a row are not asked for again (D-04)")
    func brokenRanges() async throws {
        let whole = Self.response(200, ["ETag": "\"1\"", "Content-Length": "100"])
        let client = Answers(Self.part("0-0/100"), Self.part("1-2/100"), Self.part("1-2/100"), whole)
        let object = try object(client)
        let opened = try await object.open(prefetch: 0, options: options)
        for retry in [SluiceError.Retry.backoff, .restart] {
            let failure = await #expect(throws: SluiceError.self) {
                _ = try await object.read(ByteRange(50, 100), of: opened.info, options: options)
            }
            #expect(failure?.retry == retry)
        }
        let again = try await object.open(prefetch: 10, options: options)
        #expect(!again.info.supportsRanges)
        #expect(client.requests.withLock { $0.last?.headers["Range"] } == nil)
    }
}
