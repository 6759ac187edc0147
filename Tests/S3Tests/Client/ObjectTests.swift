import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

@Suite struct ObjectTests {
    private func get(
        _ step: ScriptedHTTP.Step,
        range: ByteRange? = ByteRange(2, 5),
        ifMatch: String? = nil
    ) async -> (S3ObjectBody?, S3Error?) {
        let fixture = Fixture([step])
        do {
            return (
                try await fixture.client.get(bucket: "bucket", key: "k", range: range, ifMatch: ifMatch), nil
            )
        } catch {
            return (nil, error as? S3Error)
        }
    }

    private func part(_ contentRange: String?, status: Int = 206, length: String? = "3") -> ScriptedHTTP.Step {
        var headers = [("ETag", "\"e\"")]
        if let contentRange { headers.append(("Content-Range", contentRange)) }
        if let length { headers.append(("Content-Length", length)) }
        return .answer(status: status, headers: headers, body: "abc")
    }

    @Test func aRangeIsWhatWasAsked() async throws {
        let (body, _) = await get(part("bytes 2-4/10"), ifMatch: "\"e\"")
        #expect(body?.range == ByteRange(2, 5))
        #expect(body?.info.size == 10)
        #expect(try await body?.response.collect(limit: 10) == Array("abc".utf8))
        let (short, _) = await get(part("bytes 2-4/5"), range: ByteRange(2, 100))
        #expect(short?.range == ByteRange(2, 5))
    }

    @Test(arguments: [
        "bytes 0-2/10", "bytes 2-3/10", "bytes 2-5/10", "bytes 2-4/*", "bytes 2-4/4", "bytes 4-2/10", "bytes */10",
        "2-4/10", "bytes 2-4/99999999999999999999", "bytes 2-18446744073709551615/18446744073709551615", "",
    ])
    func anotherRangeIsRefused(contentRange: String) async {
        #expect(await get(part(contentRange)).1?.code == "SluiceRangeIgnored")
    }

    @Test func aWholeObjectForARangeIsRefused() async {
        #expect(await get(part(nil, status: 200)).1?.code == "SluiceRangeIgnored")
        #expect(await get(part("bytes 2-4/10", length: "4")).1?.code == "SluiceBadAnswer")
    }

    @Test func aPartUnderStatus200IsBelievedOnlyWithItsLength() async {
        #expect(await get(part("bytes 2-4/10", status: 200)).0?.range == ByteRange(2, 5))
        #expect(await get(part("bytes 2-4/10", status: 200, length: nil)).1?.code == "SluiceRangeIgnored")
        #expect(await get(part("bytes 2-4/10", status: 200, length: "10")).1?.code == "SluiceBadAnswer")
    }

    @Test func aChangedObjectIsNamedWithBothETags() async {
        let (_, error) = await get(part("bytes 2-4/10"), ifMatch: "\"old\"")
        #expect(error?.kind == .preconditionFailed)
        #expect(error?.description.contains("\"old\"") == true && error?.description.contains("\"e\"") == true)
    }

    @Test func theHeadIsReadWhole() async throws {
        let fixture = Fixture([
            .head(
                200,
                [
                    ("Content-Length", "7"), ("ETag", "\"e-2\""), ("x-amz-meta-Sluice-Write-Id", "w"),
                    ("x-amz-meta-sluice-sha256", PayloadSigning.emptyHash), ("x-amz-storage-class", "GLACIER"),
                    ("Content-Encoding", "aws-chunked, gzip"), ("x-amz-checksum-crc32c", "sOO8/Q==-2"),
                    ("x-amz-version-id", "v1"), ("Last-Modified", "Fri, 24 May 2013 00:00:00 GMT"),
                ]
            )
        ])
        let info = try await fixture.client.head(bucket: "bucket", key: "k", ifMatch: "\"e-2\"")
        #expect(info.size == 7 && info.versionID == "v1" && info.writeID == "w")
        #expect(info.recordedSHA256?.hex == PayloadSigning.emptyHash)
        #expect(info.isArchived)
        #expect(info.content.encoding == "gzip")
        #expect(info.checksums.map(\.isComposite) == [true] && !info.checksumsAreFullObject)
        #expect(info.lastModified == Fixture.now)
        #expect(fixture.http.requests[0].headers["If-Match"] == "\"e-2\"")
    }

    @Test func propertiesBecomeHeaders() async throws {
        let fixture = Fixture([.head(200, [("ETag", "\"a\"")])])
        var properties = S3Properties()
        properties.content.type = "application/octet-stream"
        properties.metadata = ["Sluice-Write-Id": "w"]
        properties.storageClass = "STANDARD_IA"
        properties.encryption = .kms(keyID: "key")
        properties.tags = [S3Tag("a b", "c&d")]
        _ = try await fixture.client.put(
            bucket: "bucket",
            key: "k",
            body: fixture.body("x", checksum: true),
            properties: properties,
            condition: .ifAbsent
        )
        let headers = fixture.http.requests[0].headers
        #expect(headers["x-amz-meta-sluice-write-id"] == "w")
        #expect(headers["x-amz-tagging"] == "a%20b=c%26d")
        #expect(headers["x-amz-server-side-encryption"] == "aws:kms")
        #expect(headers["If-None-Match"] == "*")
        #expect(headers["x-amz-checksum-crc32c"] != nil)
        #expect(headers["x-amz-content-sha256"] == SHA256.hash("x").hex)
    }

    @Test(arguments: ["é", "a\nb", "a\r\nX-Evil: 1", " a", "\u{7F}"])
    func whatAHeaderCannotCarryIsRefused(value: String) async {
        let fixture = Fixture([])
        var properties = S3Properties()
        properties.metadata = ["name": value]
        let error = await fixture.failure {
            _ = try await $0.put(bucket: "bucket", key: "k", body: fixture.body("x"), properties: properties)
        }
        #expect(error?.kind == .invalid)
        #expect(fixture.http.requests.isEmpty)
    }

    @Test func theCustomersKeyNeedsTLS() async throws {
        let key = try #require(S3CustomerKey(bytes: [UInt8](repeating: 7, count: 32)))
        let plain = Fixture([], endpoint: "http://s3.example.test")
        let error = await plain.failure { _ = try await $0.head(bucket: "bucket", key: "k", customerKey: key) }
        #expect(error?.code == "SluiceNeedsTLS")
        let fixture = Fixture([.head(200, [("Content-Length", "1")])], endpoint: "https://s3.example.test")
        _ = try await fixture.client.head(bucket: "bucket", key: "k", customerKey: key)
        let headers = fixture.http.requests[0].headers
        #expect(headers["x-amz-server-side-encryption-customer-key"] == "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=")
        #expect(headers["x-amz-server-side-encryption-customer-key-MD5"]?.count == 24)
        #expect(!"\(key)".contains("BwcH"))
    }

    @Test func aCopyIsPinnedAndItsSourceEncoded() async throws {
        let fixture = Fixture([.xml("<CopyPartResult><ETag>\"x\"</ETag></CopyPartResult>")])
        let source = S3CopySource(bucket: "from", key: "a b+c/é?", etag: "\"e\"", versionID: "v+1")
        _ = try await fixture.client.uploadPartCopy(
            from: source,
            range: ByteRange(0, 10),
            bucket: "bucket",
            key: "k",
            uploadID: "u/1",
            number: 3
        )
        let request = fixture.http.requests[0]
        #expect(request.headers["x-amz-copy-source"] == "from/a%20b%2Bc/%C3%A9%3F?versionId=v%2B1")
        #expect(request.headers["x-amz-copy-source-if-match"] == "\"e\"")
        #expect(request.headers["x-amz-copy-source-range"] == "bytes=0-9")
        #expect(request.url.query == "partNumber=3&uploadId=u%2F1")
    }

    @Test func completeAsksAWSToCheckTheWhole() async throws {
        let answer = "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>"
        let fixture = Fixture([.xml(answer), .xml(answer)], quirks: .aws)
        var options = S3Client.CompleteOptions()
        options.size = 10
        options.checksum = S3Checksum(.crc64nvme, base64: "AAAAAAAAAAA=")
        options.condition = .ifAbsent
        var other = fixture.client
        other.quirks = .other
        for client in [fixture.client, other] {
            _ = try await client.completeMultipartUpload(
                bucket: "bucket",
                key: "k",
                uploadID: "u",
                parts: [S3CompletedPart(number: 1, etag: "\"a\"")],
                options: options
            )
        }
        let headers = fixture.http.requests.map(\.headers)
        #expect(headers[0]["x-amz-mp-object-size"] == "10")
        #expect(headers[0]["x-amz-checksum-type"] == "FULL_OBJECT")
        #expect(headers[0]["x-amz-checksum-crc64nvme"] == "AAAAAAAAAAA=")
        #expect(headers[0]["If-None-Match"] == "*")
        #expect(headers[1]["x-amz-mp-object-size"] == nil && headers[1]["x-amz-checksum-type"] == nil)
    }

    @Test(
        arguments: [
            (PayloadPolicy.automatic, "https://s3.example.test", "UNSIGNED-PAYLOAD"),
            (.automatic, "http://127.0.0.1:9000", nil), (.signed, "https://s3.example.test", nil),
            (.unsigned, "http://127.0.0.1:9000", "UNSIGNED-PAYLOAD"),
            (.chunkSigned, "http://127.0.0.1:9000", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            (.chunkSignedTrailer, "http://127.0.0.1:9000", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"),
            (.unsignedTrailer, "https://s3.example.test", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ] as [(PayloadPolicy, String, String?)]
    )
    func thePolicyDecidesHowTheBodyIsSigned(policy: PayloadPolicy, endpoint: String, literal: String?) async throws {
        var quirks = EndpointQuirks.seaweedFS
        quirks.trailers = true
        let fixture = Fixture([.head(200, [("ETag", "\"a\"")])], endpoint: endpoint, quirks: quirks, payload: policy)
        _ = try await fixture.client.put(bucket: "bucket", key: "k", body: fixture.body("hello", checksum: true))
        let request = fixture.http.requests[0]
        #expect(request.headers["x-amz-content-sha256"] == literal ?? SHA256.hash("hello").hex)
        let isFramed = literal?.hasPrefix("STREAMING") ?? false
        #expect(request.headers["Content-Encoding"] == (isFramed ? "aws-chunked" : nil))
        #expect(request.headers["x-amz-decoded-content-length"] == (isFramed ? "5" : nil))
        // A trailer and a header with the same checksum exclude each other.
        let isTrailing = literal?.hasSuffix("TRAILER") ?? false
        #expect(request.headers["x-amz-trailer"] == (isTrailing ? "x-amz-checksum-crc32c" : nil))
        #expect((request.headers["x-amz-checksum-crc32c"] != nil) == !isTrailing)
        #expect((request.body.count == 5) == !isFramed)
    }

    @Test(arguments: [PayloadPolicy.chunkSignedTrailer, .unsignedTrailer])
    func aServerWithoutTrailersGetsNone(policy: PayloadPolicy) async throws {
        let fixture = Fixture([.head(200, [("ETag", "\"a\"")])], quirks: .rclone, payload: policy)
        _ = try await fixture.client.put(bucket: "bucket", key: "k", body: fixture.body("hello", checksum: true))
        #expect(fixture.http.requests[0].headers["x-amz-trailer"] == nil)
        #expect(fixture.http.requests[0].headers["x-amz-checksum-crc32c"] != nil)
    }

    @Test func tagsOfAllSpellingsAreOne() async throws {
        let fixture = Fixture([
            .xml("<CopyObjectResult><ETag>abc</ETag></CopyObjectResult>"),
            .xml("<InitiateMultipartUpload><UploadId>u</UploadId></InitiateMultipartUpload>"),
        ])
        let source = S3CopySource(bucket: "s", key: "k", etag: "\"e\"")
        #expect(try await fixture.client.copyObject(from: source, bucket: "bucket", key: "k").etag == "\"abc\"")
        #expect(try await fixture.client.createMultipartUpload(bucket: "bucket", key: "k") == "u")
    }

    @Test func anAnonymousRequestIsNotSigned() async throws {
        let fixture = Fixture([.xml("<ListBucketResult/>")], credentials: AnonymousCredentials())
        for try await _ in fixture.client.listObjects(bucket: "bucket") {}
        let headers = fixture.http.requests[0].headers
        #expect(headers["Authorization"] == nil && headers["x-amz-content-sha256"] == nil)
    }

    @Test func thePresignedURLIsHiddenFromLogs() async throws {
        let fixture = Fixture([])
        let url = try await fixture.client.presign(bucket: "bucket", key: "a b", expires: 60)
        #expect(url.text.hasPrefix("http://127.0.0.1:9000/bucket/a%20b?X-Amz-Algorithm="))
        #expect(!"\(url)".contains("Signature"))
    }

    @Test func tagsGoThereAndBack() async throws {
        let fixture = Fixture([
            .head(200), .xml("<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>"),
        ])
        try await fixture.client.putTagging(bucket: "bucket", key: "k", tags: [S3Tag("a", "b")])
        #expect(try await fixture.client.getTagging(bucket: "bucket", key: "k") == [S3Tag("a", "b")])
        #expect(fixture.http.requests[0].headers["Content-MD5"] != nil)
        #expect(fixture.http.requests[0].url.query == "tagging=")
    }
}
