import SluiceBytes
import SluiceTransport
import Testing

@testable import SluiceS3

/// What one call may try a second time, and that it is only once: s3.md 1.12, faults S-07 to S-09.
@Suite struct SecondTryTests {
    private let object: [(String, String)] = [("Content-Length", "3"), ("ETag", "\"e\"")]

    private func scope(_ request: HTTPRequest) -> String {
        request.headers["Authorization"]?.split(separator: "/").dropFirst().prefix(2).joined(separator: "/") ?? ""
    }

    @Test func aRegionIsLearntOnceAndKept() async throws {
        let fixture = Fixture(
            [
                .error(301, "PermanentRedirect", headers: [("x-amz-bucket-region", "eu-west-1")]),
                .xml("<ListBucketResult/>"), .head(200, object),
            ],
            endpoint: nil,
            quirks: .aws
        )
        for try await _ in fixture.client.listObjects(bucket: "bucket") {}
        _ = try await fixture.client.head(bucket: "bucket", key: "k")
        let requests = fixture.http.requests
        #expect(
            requests.map(\.url.host) == [
                "bucket.s3.us-east-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com",
                "bucket.s3.eu-west-1.amazonaws.com",
            ]
        )
        #expect(requests.map(scope) == ["20130524/us-east-1", "20130524/eu-west-1", "20130524/eu-west-1"])
    }

    @Test func theRegionOfAMalformedHeaderIsInTheBody() async throws {
        let fixture = Fixture([
            .error(400, "AuthorizationHeaderMalformed", "<Region>garage</Region>"), .xml("<ListBucketResult/>"),
        ])
        for try await _ in fixture.client.listObjects(bucket: "bucket") {}
        #expect(fixture.http.requests.map(scope) == ["20130524/us-east-1", "20130524/garage"])
        #expect(fixture.http.requests.allSatisfy { $0.url.host == "127.0.0.1" })
    }

    @Test func aSecondRedirectIsAnError() async {
        let redirect = { (region: String) in
            ScriptedHTTP.Step.error(301, "PermanentRedirect", headers: [("x-amz-bucket-region", region)])
        }
        let fixture = Fixture([redirect("eu-west-1"), redirect("eu-west-2"), redirect("eu-west-3")])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .wrongRegion("eu-west-2"))
        #expect(fixture.http.requests.count == 2)
    }

    @Test func aRegionThatNamesAHostIsNotFollowed() async {
        let fixture = Fixture(
            [
                .error(
                    301,
                    "PermanentRedirect",
                    "<Region>x.evil.example/</Region>",
                    headers: [("Location", "https://evil.example/")]
                ),
                .head(403), .head(403),
            ],
            endpoint: nil,
            quirks: .aws
        )
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .wrongRegion(nil))
        #expect(fixture.http.requests.allSatisfy { $0.url.host.hasSuffix(".amazonaws.com") })
    }

    @Test func withoutARegionTheBucketsHeadIsAsked() async throws {
        let fixture = Fixture(
            [
                .error(301, "PermanentRedirect"), .head(200, [("x-amz-bucket-region", "ap-south-1")]),
                .xml("<ListBucketResult/>"),
            ],
            endpoint: nil,
            quirks: .aws
        )
        for try await _ in fixture.client.listObjects(bucket: "bucket") {}
        #expect(fixture.http.requests.map(\.method) == ["GET", "HEAD", "GET"])
        #expect(fixture.http.requests[2].url.host == "bucket.s3.ap-south-1.amazonaws.com")
    }

    @Test func theServersClockIsLearntAndShared() async throws {
        let skewed = ScriptedHTTP.Step.error(
            403,
            "RequestTimeTooSkewed",
            headers: [("Date", "Fri, 24 May 2013 06:00:00 GMT")]
        )
        let fixture = Fixture([skewed, .xml("<ListBucketResult/>"), .head(200, object)])
        for try await _ in fixture.client.listObjects(bucket: "bucket") {}
        _ = try await fixture.client.head(bucket: "bucket", key: "k")
        let dates = fixture.http.requests.map { $0.headers["x-amz-date"] }
        #expect(dates == ["20130524T000000Z", "20130524T060000Z", "20130524T060000Z"])
        #expect(fixture.client.state.clockOffset == 21_600)
    }

    @Test func aSkewThatStaysIsAnError() async {
        let skewed = ScriptedHTTP.Step.error(
            403,
            "RequestTimeTooSkewed",
            "<ServerTime>2013-05-24T06:00:00Z</ServerTime>"
        )
        let fixture = Fixture([skewed, skewed, skewed])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .clockSkew(serverDate: Fixture.now.advanced(by: 21_600)))
        #expect(fixture.http.requests.count == 2)
    }

    @Test func aHeadWithAForeignDateIsTakenForSkew() async throws {
        let fixture = Fixture([.head(403, [("Date", "Fri, 24 May 2013 06:00:00 GMT")]), .head(200, object)])
        _ = try await fixture.client.head(bucket: "bucket", key: "k")
        #expect(fixture.http.requests[1].headers["x-amz-date"] == "20130524T060000Z")
    }

    @Test func expiredCredentialsAreRefreshedOnce() async throws {
        let expired = ScriptedHTTP.Step.error(400, "ExpiredToken")
        let fixture = Fixture([expired, .head(200, [("ETag", "\"a\"")])], credentials: RenewingCredentials())
        let part = try await fixture.client.uploadPart(
            bucket: "bucket",
            key: "k",
            uploadID: "u",
            number: 1,
            body: fixture.body("x")
        )
        #expect(part.etag == "\"a\"")
        #expect(fixture.http.requests.map { $0.headers["x-amz-security-token"] } == ["token1", "token2"])
        let again = Fixture([expired, expired, expired], credentials: RenewingCredentials())
        let error = await again.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .expiredToken)
        #expect(again.http.requests.count == 2)
    }

    @Test func staticCredentialsAreNotTriedTwice() async {
        let fixture = Fixture([.error(400, "ExpiredToken")])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .expiredToken)
    }

    @Test func aStaleConnectionIsReplayedOnceForWhatMayBeSentTwice() async throws {
        let fixture = Fixture([.failure(.staleConnection), .head(200, object)])
        _ = try await fixture.client.head(bucket: "bucket", key: "k")
        let twice = Fixture([.failure(.staleConnection), .failure(.staleConnection)])
        #expect(await twice.failedSomehow { _ = try await $0.head(bucket: "bucket", key: "k") })
    }

    /// The server may have stored the object before the connection went: a second PUT would be a second version.
    @Test(arguments: [S3WriteCondition.none, .ifAbsent])
    func aPutIsNotReplayed(condition: S3WriteCondition) async throws {
        let fixture = Fixture([.failure(.staleConnection), .head(200, [("ETag", "\"a\"")])])
        let body = fixture.body("x")
        #expect(
            await fixture.failedSomehow {
                _ = try await $0.put(bucket: "bucket", key: "k", body: body, condition: condition)
            }
        )
        #expect(fixture.http.requests.count == 1)
    }

    @Test(arguments: [
        (503, "SlowDown", S3Error.Kind.throttled), (400, "RequestTimeout", .temporary), (400, "BadDigest", .badDigest),
        (404, "NoSuchUpload", .noSuchUpload), (404, "NoSuchBucket", .noSuchBucket), (404, "NoSuchKey", .noSuchKey),
        (412, "PreconditionFailed", .preconditionFailed), (409, "ConditionalRequestConflict", .conflict),
        (400, "EntityTooSmall", .entityTooSmall), (507, "XMinioStorageFull", .quotaExceeded),
        (403, "InvalidObjectState", .archived), (403, "AccessDenied", .accessDenied), (418, "Teapot", .unknown),
        (500, "InternalError", .temporary), (501, "NotImplemented", .invalid),
    ])
    func theCodeOfTheBodyDecides(status: Int, code: String, kind: S3Error.Kind) async {
        let fixture = Fixture([.error(status, code, headers: [("Retry-After", "7")])])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == kind)
        #expect(error?.code == code)
        #expect(error?.retryAfter == .seconds(7))
        #expect(error?.resource == "s3://bucket")
    }

    @Test(arguments: [
        (503, S3Error.Kind.throttled), (404, .noSuchKey), (403, .accessDenied), (412, .preconditionFailed),
        (500, .temporary),
    ])
    func aHeadErrorHasOnlyItsStatus(status: Int, kind: S3Error.Kind) async {
        let error = await Fixture([.head(status)]).failure { _ = try await $0.head(bucket: "bucket", key: "k") }
        #expect(error?.kind == kind)
    }

    @Test func aProxysPageIsReadByItsStatus() async {
        let fixture = Fixture([.answer(status: 502, headers: [], body: "<!DOCTYPE html><html>Bad gateway")])
        let error = await fixture.failure { for try await _ in $0.listObjects(bucket: "bucket") {} }
        #expect(error?.kind == .temporary)
    }
}
