import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

/// Faults S-12: a listing that cannot go on fails; it does not end.
@Suite struct ListingTests {
    private func page(_ keys: [String], token: String? = nil, truncated: Bool) -> ScriptedHTTP.Step {
        let entries = keys.map { "<Contents><Key>\($0)</Key><Size>1</Size></Contents>" }.joined()
        let next = token.map { "<NextContinuationToken>\($0)</NextContinuationToken>" } ?? ""
        return .xml("<ListBucketResult><IsTruncated>\(truncated)</IsTruncated>\(next)\(entries)</ListBucketResult>")
    }

    private func keys(_ fixture: Fixture) async throws -> [S3Key] {
        var keys: [S3Key] = []
        for try await page in fixture.client.listObjects(bucket: "bucket") { keys += page.objects.map(\.key) }
        return keys
    }

    @Test func pagesFollowTheirTokens() async throws {
        let fixture = Fixture([
            page(["a"], token: "t+/=1", truncated: true), page([], token: "t2", truncated: true),
            page(["b"], truncated: false),
        ])
        #expect(try await keys(fixture) == ["a", "b"])
        #expect(
            fixture.http.requests.map(\.url.query) == [
                "encoding-type=url&list-type=2", "continuation-token=t%2B%2F%3D1&encoding-type=url&list-type=2",
                "continuation-token=t2&encoding-type=url&list-type=2",
            ]
        )
    }

    @Test func aPageIsAskedForWhenItIsWanted() async throws {
        let fixture = Fixture([page(["a"], token: "t", truncated: true)])
        var iterator = fixture.client.listObjects(bucket: "bucket").makeAsyncIterator()
        _ = try await iterator.next()
        #expect(fixture.http.requests.count == 1)
    }

    @Test func truncatedWithoutATokenIsAnError() async {
        let error = await Fixture([page(["a"], truncated: true)]).failure {
            for try await _ in $0.listObjects(bucket: "bucket") {}
        }
        #expect(error?.code == "SluiceListingStuck")
    }

    @Test(arguments: [["t", "t"], ["t", "u", "t"]])
    func aTokenForTheSecondTimeIsAnError(tokens: [String]) async {
        let steps = tokens.enumerated().map { page(["k\($0)"], token: $1, truncated: true) }
        let error = await Fixture(steps).failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.code == "SluiceListingStuck")
    }

    @Test func theSamePageAgainIsAnError() async {
        let steps = (0..<5).map { page(["a", "b"], token: "t\($0)", truncated: true) }
        let fixture = Fixture(steps)
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.code == "SluiceListingStuck")
        #expect(fixture.http.requests.count == 2)
    }

    @Test func emptyPagesWithoutEndAreAnError() async {
        let steps = (0..<200).map { page([], token: "t\($0)", truncated: true) }
        let fixture = Fixture(steps)
        #expect(await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} } != nil)
        #expect(fixture.http.requests.count == 101)
    }

    @Test func moreKeysThanAskedForAndUnsortedOnesGoThrough() async throws {
        let names = (0..<1001).reversed().map { "k\($0)" }
        #expect(try await keys(Fixture([page(names, truncated: false)])).count == 1001)
    }

    @Test func partsComeFromAllPages() async throws {
        let part = { (number: Int, more: String) in
            ScriptedHTTP.Step.xml(
                "<ListPartsResult>\(more)<Part><PartNumber>\(number)</PartNumber><Size>1</Size><ETag>e</ETag></Part>"
                    + "</ListPartsResult>"
            )
        }
        let more = "<IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
        let fixture = Fixture([part(1, more), part(2, "")])
        let parts = try await fixture.client.listParts(bucket: "bucket", key: "k", uploadID: "u")
        #expect(parts.map(\.number) == [1, 2])
        #expect(fixture.http.requests[1].url.query == "part-number-marker=1&uploadId=u")
        let stuck = Fixture([part(1, more), part(1, more)])
        let error = await stuck.failure { _ = try await $0.listParts(bucket: "bucket", key: "k", uploadID: "u") }
        #expect(error?.code == "SluiceListingStuck")
    }

    @Test func unfinishedUploadsComeFromAllPages() async throws {
        let upload = { (key: String, more: String) in
            ScriptedHTTP.Step.xml(
                "<ListMultipartUploadsResult><EncodingType>url</EncodingType>\(more)<Upload><Key>\(key)</Key>"
                    + "<UploadId>u</UploadId></Upload></ListMultipartUploadsResult>"
            )
        }
        let more =
            "<IsTruncated>true</IsTruncated><NextKeyMarker>a+1</NextKeyMarker>"
            + "<NextUploadIdMarker>u</NextUploadIdMarker>"
        let fixture = Fixture([upload("a+1", more), upload("b", "")])
        let uploads = try await fixture.client.listMultipartUploads(bucket: "bucket", prefix: "p")
        #expect(uploads.map(\.key) == ["a 1", "b"])
        #expect(
            fixture.http.requests[1].url.query
                == "encoding-type=url&key-marker=a%201&prefix=p&upload-id-marker=u&uploads="
        )
    }
}
