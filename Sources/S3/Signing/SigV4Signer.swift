import SluiceBytes
import SluiceTransport

/// Signs S3 requests with AWS Signature Version 4: header and presigned forms.
///
/// Every attempt is signed anew, with its own date and credentials; a signature is never sent twice.
/// See: AWS, `sig-v4-header-based-auth.html` and `sigv4-query-string-auth.html`.
package struct SigV4Signer: Sendable {
    package let region: String
    package let service: String
    private let keys: SigningKeyCache

    package init(region: String, service: String = "s3", keys: SigningKeyCache = SigningKeyCache()) {
        self.region = region
        self.service = service
        self.keys = keys
    }

    /// A signed request and what its chunks chain on.
    package struct Signed: Sendable {
        /// The given headers with `x-amz-date`, `x-amz-content-sha256`, the token and `Authorization`.
        package let headers: HTTPHeaders
        package let canonical: CanonicalRequest
        package let signature: String
        /// Signs the chunks of a streaming body.
        package let chunks: ChunkSigner
    }

    /// Signs `request` by headers.
    package func sign(
        _ request: SignableRequest,
        payload: PayloadSigning,
        credentials: S3Credentials,
        date: Timestamp
    ) -> Signed {
        var request = request
        request.headers["x-amz-date"] = date.basic
        request.headers["x-amz-content-sha256"] = payload.literal
        request.headers["x-amz-security-token"] = credentials.sessionToken?.exposed
        let canonical = CanonicalRequest(request, payload: payload)
        let chain = chunkSigner(credentials: credentials, date: date, seed: "")
        let signature = chain.sign("AWS4-HMAC-SHA256\n\(date.basic)\n\(chain.scope)\n\(canonical.hash)")
        request.headers["Authorization"] =
            "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(chain.scope), "
            + "SignedHeaders=\(canonical.signedHeaders), Signature=\(signature)"
        return Signed(
            headers: request.headers,
            canonical: canonical,
            signature: signature,
            chunks: chain.seeded(with: signature)
        )
    }

    /// A presigned query.
    package struct Presigned: Sendable {
        /// For the wire; the signature is its last pair.
        package let query: String
        package let canonical: CanonicalRequest
        package let signature: String
    }

    /// Signs `request` by its query, valid for `expires` seconds (1…604800) and no longer than a session token.
    package func presign(
        _ request: SignableRequest,
        credentials: S3Credentials,
        date: Timestamp,
        expires: Int
    ) -> Presigned {
        var request = request
        let chain = chunkSigner(credentials: credentials, date: date, seed: "")
        let names = CanonicalRequest(request, payload: .unsigned).signedHeaders
        request.query.append("X-Amz-Algorithm", "AWS4-HMAC-SHA256")
        request.query.append("X-Amz-Credential", "\(credentials.accessKeyID)/\(chain.scope)")
        request.query.append("X-Amz-Date", date.basic)
        request.query.append("X-Amz-Expires", String(min(max(expires, 1), 604_800)))
        request.query.append("X-Amz-SignedHeaders", names)
        if let token = credentials.sessionToken { request.query.append("X-Amz-Security-Token", token.exposed) }
        let canonical = CanonicalRequest(request, payload: .unsigned)
        let signature = chain.sign("AWS4-HMAC-SHA256\n\(date.basic)\n\(chain.scope)\n\(canonical.hash)")
        return Presigned(
            query: "\(request.query.canonical)&X-Amz-Signature=\(signature)",
            canonical: canonical,
            signature: signature
        )
    }

    /// The chain of chunk signatures after `seed`.
    package func chunkSigner(credentials: S3Credentials, date: Timestamp, seed: String) -> ChunkSigner {
        let scope = SigningScope(day: date.day, region: region, service: service)
        return ChunkSigner(
            key: keys.key(scope: scope, secret: credentials.secretKey),
            scope: scope.description,
            timestamp: date.basic,
            previous: seed
        )
    }
}
