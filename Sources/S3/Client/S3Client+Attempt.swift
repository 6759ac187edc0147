import SluiceBytes
import SluiceTransport

extension S3Client {
    /// One addressed and signed request, never to be sent twice.
    struct Attempt {
        let request: HTTPRequest
        let credentials: S3Credentials?
        let region: String
        let date: Timestamp
    }

    func attempt(_ call: S3Call) async throws -> Attempt {
        let region = region(of: call.bucket)
        let target = try endpoint.target(
            bucket: call.bucket,
            key: call.key,
            region: region,
            usesPathStyle: quirks.usesPathStyle
        )
        guard let url = target.url(query: call.query.canonical) else {
            throw failure(call, code: "SluiceURLTooLong", "the request does not fit a URL", kind: .invalid)
        }
        let date = now
        let credentials = try await credentials.credentials(now: date)
        let signer = credentials.map { (SigV4Signer(region: region, keys: keys), $0) }
        var framed = framing(call, isSigned: signer != nil)
        var request = HTTPRequest(call.method, url, headers: framed.headers)
        if let (signer, credentials) = signer {
            let signable = SignableRequest(
                method: call.method,
                authority: url.authority,
                path: target.path,
                query: call.query,
                headers: framed.headers
            )
            let signed = signer.sign(signable, payload: framed.payload, credentials: credentials, date: date)
            request.headers = signed.headers
            framed.chunks = signed.chunks
        }
        request.body = body(call, framed)
        request.bodyLimit = call.bodyLimit
        call.hooks.apply(to: &request)
        return Attempt(request: request, credentials: credentials, region: region, date: date)
    }

    /// The headers that describe a body, and how it will be framed.
    private struct Framing {
        var headers: HTTPHeaders
        var payload: PayloadSigning
        var trailers: [AwsChunkedEncoder.Trailer] = []
        var chunks: ChunkSigner?
    }

    private func framing(_ call: S3Call, isSigned: Bool) -> Framing {
        switch call.body {
        case .none: return Framing(headers: call.headers, payload: .signed(PayloadSigning.emptyHash))
        case .document(let bytes):
            var headers = call.headers
            headers["Content-MD5"] = bytes.withUnsafeBytes { content -> String in
                let digest = RunningDigest(.md5)
                digest.update(content)
                return digest.finish().base64
            }
            return Framing(headers: headers, payload: .signed(bytes.withUnsafeBytes { SHA256.hash($0).hex }))
        case .object(let object): return framing(of: object, headers: call.headers, isSigned: isSigned)
        }
    }

    private func framing(of object: S3Body, headers: HTTPHeaders, isSigned: Bool) -> Framing {
        let payload = payloadSigning(of: object, isSigned: isSigned)
        var framing = Framing(headers: headers, payload: payload)
        guard payload.isStreaming else {
            for checksum in [object.checksum, object.md5].compactMap({ $0 }) {
                framing.headers[checksum.headerName] = checksum.base64
            }
            return framing
        }
        // Both, because some servers key on the one and some on the other; a real encoding stays after it.
        framing.headers["Content-Encoding"] = headers["Content-Encoding"].map { "aws-chunked,\($0)" } ?? "aws-chunked"
        framing.headers["x-amz-decoded-content-length"] = String(object.count)
        if let checksum = object.checksum {
            if payload == .streamingSigned {
                framing.headers[checksum.headerName] = checksum.base64
            } else {
                let name = checksum.headerName.lowercased()
                framing.headers["x-amz-trailer"] = name
                framing.trailers = [(name: name, value: checksum.base64)]
            }
        }
        return framing
    }

    private func payloadSigning(of object: S3Body, isSigned: Bool) -> PayloadSigning {
        // A server without trailers may store other bytes and say nothing (rclone serve s3 does). Content-MD5 cannot be
        // a trailer, and an unsigned request has nothing to chain chunks on.
        let canTrail = quirks.trailers && (object.checksum.map { $0.algorithm != .md5 } ?? false)
        switch payload {
        case _ where !isSigned: return .unsigned
        case .unsigned: return .unsigned
        case .automatic where endpoint.isTLS && quirks.unsignedPayload: return .unsigned
        case .chunkSigned: return .streamingSigned
        case .chunkSignedTrailer: return canTrail ? .streamingSignedTrailer : .streamingSigned
        case .unsignedTrailer where canTrail: return .streamingUnsignedTrailer
        case .automatic, .signed, .unsignedTrailer:
            return .signed(object.sha256 ?? RunningDigest.hash(.sha256, of: object.chunks).hex)
        }
    }

    private func body(_ call: S3Call, _ framing: Framing) -> HTTPBody {
        switch call.body {
        case .none: return .empty
        case .document(let bytes): return .bytes(bytes)
        case .object(let object):
            guard framing.payload.isStreaming else { return .chunks(object.chunks) }
            let signer = framing.payload == .streamingUnsignedTrailer ? nil : framing.chunks
            let encoder = AwsChunkedEncoder(signer: signer, pool: pool)
            return .chunks(encoder.encode(object.chunks, trailers: framing.trailers))
        }
    }

    func failure(_ call: S3Call, code: String, _ message: String, kind: S3Error.Kind, status: Int = 0) -> S3Error {
        var error = S3Error(code: code, status: status, message: message, kind: kind)
        error.resource = call.resource
        return error
    }
}
