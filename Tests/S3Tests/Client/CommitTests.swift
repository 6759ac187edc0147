import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

/// HTTP 200 is not success: s3.md 1.5, faults S-02 and S-03.
@Suite struct CommitTests {
    static let operations = ["complete", "copy", "partCopy", "delete"]

    private static func run(_ operation: String, _ client: S3Client) async throws {
        let source = S3CopySource(bucket: "s", key: "k", etag: "\"e\"")
        switch operation {
        case "complete":
            _ = try await client.completeMultipartUpload(
                bucket: "bucket",
                key: "k",
                uploadID: "u",
                parts: [S3CompletedPart(number: 1, etag: "\"a\"")]
            )
        case "copy": _ = try await client.copyObject(from: source, bucket: "bucket", key: "k")
        case "partCopy":
            _ = try await client.uploadPartCopy(
                from: source,
                range: ByteRange(0, 9),
                bucket: "bucket",
                key: "k",
                uploadID: "u",
                number: 1
            )
        default:
            let outcomes = try await client.deleteObjects(bucket: "bucket", keys: ["a", "b"])
            #expect(outcomes.map(\.key) == ["a", "b"])
            if let error = outcomes.compactMap(\.error).first { throw error }
        }
    }

    private static func success(_ operation: String) -> String {
        switch operation {
        case "complete": "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>"
        case "copy": "<CopyObjectResult><ETag>\"x\"</ETag></CopyObjectResult>"
        case "partCopy": "<CopyPartResult><ETag>\"x\"</ETag></CopyPartResult>"
        default:
            "<DeleteResult><Deleted><Key>b</Key></Deleted><Deleted><Key>a</Key></Deleted></DeleteResult>"
        }
    }

    private func failure(_ operation: String, _ step: ScriptedHTTP.Step) async -> S3Error? {
        await Fixture([step]).failure { try await Self.run(operation, $0) }
    }

    @Test(arguments: operations)
    func theExpectedDocumentIsSuccess(operation: String) async {
        #expect(await failure(operation, .xml("  \n \n" + Self.success(operation))) == nil)
    }

    @Test(arguments: operations)
    func anErrorInA200IsAnError(operation: String) async {
        let error = await failure(
            operation,
            .xml("\n\n  <?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>".trimmedStart)
        )
        #expect(error?.kind == .throttled)
        let unknown = await failure(operation, .xml("  <Error><Code>SomethingNew</Code></Error>"))
        #expect(unknown != nil)
    }

    @Test(arguments: operations)
    func anEmptyAnswerIsAnError(operation: String) async {
        for body in ["", "  \n "] {
            let error = await failure(operation, .xml(body))
            #expect(error?.kind == (operation == "complete" || operation == "copy" ? .unconfirmed : .temporary))
        }
    }

    @Test(arguments: operations)
    func aCutAnswerIsAnErrorAtEveryByte(operation: String) async {
        let whole = Self.success(operation)
        for length in 0..<whole.count {
            #expect(await failure(operation, .xml(String(whole.prefix(length)))) != nil, "cut at \(length)")
        }
        #expect(await Fixture([.cut(status: 200, body: whole)]).failedSomehow { try await Self.run(operation, $0) })
    }

    @Test(arguments: operations)
    func anotherDocumentIsAnError(operation: String) async {
        for body in ["<html><body>ok</body></html>", "<ListBucketResult/>", "<!DOCTYPE html><html/>"] {
            #expect(await failure(operation, .xml(body)) != nil)
        }
    }

    @Test(arguments: ["complete", "copy", "partCopy"])
    func aMissingETagIsAnError(operation: String) async {
        for etag in ["", "<ETag></ETag>", "<ETag/>"] {
            let root = Self.success(operation).prefix { $0 != ">" }.dropFirst()
            let error = await failure(operation, .xml("<\(root)>\(etag)</\(root)>"))
            #expect(error != nil)
        }
    }

    @Test(arguments: ["complete", "copy"])
    func aLostAnswerIsUnconfirmed(operation: String) async {
        for code in [TransportError.Code.connectionLost, .stalled, .bodyTruncated] {
            #expect(await failure(operation, .failure(code))?.kind == .unconfirmed)
        }
        #expect(await failure(operation, .cut(status: 200, body: "<Co"))?.kind == .unconfirmed)
    }

    @Test func aDeleteTellsEachKeysOutcome() async throws {
        let fixture = Fixture([
            .xml(
                "<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code></Error>"
                    + "</DeleteResult>"
            ),
            .answer(status: 204, headers: [], body: ""),
        ])
        let outcomes = try await fixture.client.deleteObjects(bucket: "bucket", keys: ["a", "b", "c", "\u{1}", "a"])
        #expect(outcomes.map(\.key) == ["a", "b", "c", "\u{1}"])
        #expect(outcomes.map { $0.error?.kind } == [nil, .accessDenied, .unconfirmed, nil])
        #expect(fixture.http.requests.map(\.method) == ["POST", "DELETE"])
        #expect(fixture.http.requests[1].url.path == "/bucket/%01")
    }

    @Test func theBatchHasTheEndpointsSize() async throws {
        let answer = { (keys: ClosedRange<Int>) in
            "<DeleteResult>" + keys.map { "<Deleted><Key>\($0)</Key></Deleted>" }.joined() + "</DeleteResult>"
        }
        let fixture = Fixture([.xml(answer(1...700)), .xml(answer(701...701))], quirks: .r2)
        let outcomes = try await fixture.client.deleteObjects(
            bucket: "bucket",
            keys: (1...701).map { S3Key(String($0)) }
        )
        #expect(outcomes.count == 701 && outcomes.allSatisfy { $0.error == nil })
    }

    @Test func anUploadPartWithoutETagIsAnError() async {
        let error = await Fixture([.head(200)]).failure {
            _ = try await $0.uploadPart(
                bucket: "bucket",
                key: "k",
                uploadID: "u",
                number: 1,
                body: Fixture([]).body("x")
            )
        }
        #expect(error?.code == "SluiceMissingETag")
    }

    @Test func anotherChecksumThanWasSentIsAnError() async {
        let error = await Fixture([.head(200, [("ETag", "\"a\""), ("x-amz-checksum-crc32c", "AAAAAA==")])]).failure {
            _ = try await $0.uploadPart(
                bucket: "bucket",
                key: "k",
                uploadID: "u",
                number: 1,
                body: Fixture([]).body("x", checksum: true)
            )
        }
        #expect(error?.kind == .badDigest)
    }
}

extension String {
    fileprivate var trimmedStart: String { String(drop { $0.isWhitespace }) }
}

extension Fixture {
    func failedSomehow(_ body: (S3Client) async throws -> Void) async -> Bool {
        do {
            try await body(client)
            return false
        } catch {
            return true
        }
    }
}
