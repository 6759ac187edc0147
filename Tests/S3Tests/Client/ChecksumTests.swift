import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

/// s3.md 1.4: the checksum mode is the endpoint's; where nobody knows it, its answers tell.
@Suite struct ChecksumTests {
    private func body() -> S3Body {
        let chunks = Chunk.chunks(of: Array("hello".utf8), from: BufferPool())
        return S3Body(
            chunks,
            checksum: S3Checksum(RunningDigest.hash(.crc32c, of: chunks)),
            md5: S3Checksum(RunningDigest.hash(.md5, of: chunks))
        )
    }

    private func put(_ fixture: Fixture) async throws {
        _ = try await fixture.client.uploadPart(bucket: "b", key: "k", uploadID: "u", number: 1, body: body())
    }

    private static let echo = ("x-amz-checksum-crc32c", "mnG7TA==")

    @Test func anUnknownEndpointIsSentBothUntilItAnswers() async throws {
        let fixture = Fixture([.head(200, [("ETag", "\"e\""), Self.echo])], quirks: .other)
        #expect(fixture.client.bodyChecksum == .unknown)
        try await put(fixture)
        let headers = try #require(fixture.http.requests.first?.headers)
        #expect(headers["x-amz-checksum-crc32c"] == "mnG7TA==")
        #expect(headers["Content-MD5"] == "XUFAKrxLKna5cZ2REBfFkg==")
        #expect(fixture.client.bodyChecksum == .crc32c)
    }

    @Test func anEndpointThatDoesNotReturnTheChecksumDoesNotCheckIt() async throws {
        let fixture = Fixture([.head(200, [("ETag", "\"e\"")])], quirks: .other)
        try await put(fixture)
        #expect(fixture.client.bodyChecksum == .md5)
    }

    @Test(arguments: ["NotImplemented", "InvalidRequest", "InvalidArgument"])
    func anEndpointThatRefusesTheHeaderIsAskedWithoutIt(code: String) async throws {
        let fixture = Fixture([.error(400, code), .head(200, [("ETag", "\"e\"")])], quirks: .other)
        try await put(fixture)
        let second = try #require(fixture.http.requests.last?.headers)
        #expect(second["x-amz-checksum-crc32c"] == nil)
        #expect(second["Content-MD5"] == "XUFAKrxLKna5cZ2REBfFkg==")
        #expect(fixture.client.bodyChecksum == .md5)
    }

    @Test func anotherRefusalTeachesNothing() async throws {
        let fixture = Fixture([.error(403, "AccessDenied")], quirks: .other)
        let error = await fixture.failure { _ in try await put(fixture) }
        #expect(error?.code == "AccessDenied")
        #expect(fixture.client.bodyChecksum == .unknown)
    }

    @Test func whatIsKnownIsNotLearnt() {
        #expect(Fixture([], quirks: .seaweedFS).client.bodyChecksum == .crc32c)
        #expect(Fixture([], quirks: .rclone).client.bodyChecksum == .md5)
    }

    @Test func anUploadIsCreatedWithoutAnAlgorithmThatTheServerRefuses() async throws {
        let created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        let fixture = Fixture([.error(501, "NotImplemented"), .xml(created)], quirks: .other)
        let id = try await fixture.client.createMultipartUpload(bucket: "b", key: "k", checksum: .crc32c)
        #expect(id == "u")
        #expect(fixture.http.requests.first?.headers["x-amz-checksum-algorithm"] == "CRC32C")
        #expect(fixture.http.requests.last?.headers["x-amz-checksum-algorithm"] == nil)
    }
}
