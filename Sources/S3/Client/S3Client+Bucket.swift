import SluiceBytes
import SluiceTransport

/// What a bucket's head tells.
package struct S3BucketInfo: Sendable {
    /// Nil where the server does not say.
    package let region: String?
    /// The `Server` header, for `EndpointQuirks.known`.
    package let server: String?
    /// The server's time.
    package let date: Timestamp?
}

extension S3Client {
    /// HeadBucket: whether the bucket is there and may be used, and where it lives. What it tells is learnt.
    package func headBucket(_ bucket: String) async throws -> S3BucketInfo {
        let response: HTTPResponse
        do {
            response = try await perform(S3Call("HEAD", bucket: bucket))
        } catch let error as S3Error where error.code == S3Error.codeName(status: 404) {
            var missing = S3Error(
                code: "NoSuchBucket",
                status: 404,
                message: "the bucket does not exist",
                kind: .noSuchBucket
            )
            missing.resource = error.resource
            throw missing
        }
        response.body.cancel()
        let region = response.headers["x-amz-bucket-region"].flatMap { S3Endpoint.isRegion($0) ? $0 : nil }
        if let region { state.learn(region: region, of: bucket) }
        return S3BucketInfo(
            region: region,
            server: response.headers["Server"],
            date: response.headers["Date"].flatMap { Timestamp(httpDate: $0) }
        )
    }

    /// The same client with the quirks that fit what the server calls itself.
    package func recognised(from info: S3BucketInfo) -> S3Client {
        var copy = self
        copy.quirks = EndpointQuirks.known(forHost: endpoint.host, server: info.server)
        return copy
    }
}
