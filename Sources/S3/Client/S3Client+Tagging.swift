import SluiceTransport

extension S3Client {
    /// PutObjectTagging: replaces all tags.
    package func putTagging(bucket: String, key: S3Key, tags: [S3Tag]) async throws {
        var call = S3Call("PUT", bucket: bucket, key: key, query: S3Query(["tagging": ""]))
        call.body = .document(try reading(call) { try XMLWriter.tagging(tags) })
        try await acknowledged(call)
    }

    /// GetObjectTagging.
    package func getTagging(bucket: String, key: S3Key) async throws -> [S3Tag] {
        let call = S3Call("GET", bucket: bucket, key: key, query: S3Query(["tagging": ""]))
        let root = try await document(call, root: "Tagging")
        return try reading(call) { try root.tags() }
    }

    /// A URL that does `method` on an object without credentials, for `expires` seconds (1…604800).
    ///
    /// The URL is a secret: print its `text` only where the user asked for it.
    package func presign(
        method: String = "GET",
        bucket: String,
        key: S3Key,
        expires: Int
    ) async throws -> HTTPURL {
        let call = S3Call(method, bucket: bucket, key: key)
        let region = region(of: bucket)
        let target = try endpoint.target(
            bucket: bucket,
            key: key,
            region: region,
            usesPathStyle: quirks.usesPathStyle
        )
        let date = now
        guard let credentials = try await credentials.credentials(now: date) else {
            throw failure(call, code: "SluiceAnonymous", "there are no credentials to sign a URL with", kind: .invalid)
        }
        guard let plain = target.url(query: "") else {
            throw failure(call, code: "SluiceURLTooLong", "the request does not fit a URL", kind: .invalid)
        }
        let request = SignableRequest(method: method, authority: plain.authority, path: target.path)
        let signed = SigV4Signer(region: region, keys: keys).presign(
            request,
            credentials: credentials,
            date: date,
            expires: expires
        )
        guard let url = target.url(query: signed.query) else {
            throw failure(call, code: "SluiceURLTooLong", "the signed URL is too long", kind: .invalid)
        }
        return url
    }
}
