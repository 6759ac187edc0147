import SluiceBytes
import SluiceTransport

/// A readable part of an object, checked against what was asked.
package struct S3ObjectBody: Sendable {
    package let info: S3ObjectInfo
    /// The bytes that `response.body` gives.
    package let range: ByteRange
    package let response: HTTPResponse
}

extension S3Client {
    /// HeadObject.
    package func head(
        bucket: String,
        key: S3Key,
        versionID: String? = nil,
        ifMatch: String? = nil,
        customerKey: S3CustomerKey? = nil
    ) async throws -> S3ObjectInfo {
        var call = S3Call("HEAD", bucket: bucket, key: key)
        try checkCustomerKey(customerKey, call)
        if let versionID { call.query.append("versionId", versionID) }
        call.headers["If-Match"] = ifMatch
        customerKey?.apply(to: &call.headers)
        if !quirks.headerChecksums.isEmpty { call.headers["x-amz-checksum-mode"] = "ENABLED" }
        let response = try await perform(call)
        response.body.cancel()
        guard let size = S3Client.contentLength(response.headers) else {
            throw failure(
                call,
                code: "SluiceBadAnswer",
                "the answer has no Content-Length",
                kind: .invalid,
                status: response.status
            )
        }
        return S3ObjectInfo(key: key, size: size, headers: response.headers)
    }

    /// GetObject, whole or a range of it, pinned by `ifMatch` or `versionID`.
    ///
    /// - Throws: `S3Error` `.preconditionFailed` if the object changed; `.invalid` with code `SluiceRangeIgnored` if
    ///   the server sent the whole object for a range, or another range than was asked.
    package func get(
        bucket: String,
        key: S3Key,
        range: ByteRange? = nil,
        ifMatch: String? = nil,
        versionID: String? = nil,
        customerKey: S3CustomerKey? = nil,
        hooks: S3TransferHooks = S3TransferHooks()
    ) async throws -> S3ObjectBody {
        var call = S3Call("GET", bucket: bucket, key: key)
        try checkCustomerKey(customerKey, call)
        if let versionID { call.query.append("versionId", versionID) }
        if let range {
            guard let text = range.httpRange else {
                throw failure(call, code: "SluiceEmptyRange", "an empty range cannot be asked for", kind: .invalid)
            }
            call.headers["Range"] = text
            call.bodyLimit = range.count
        } else if !quirks.headerChecksums.isEmpty {
            call.headers["x-amz-checksum-mode"] = "ENABLED"
        }
        call.headers["If-Match"] = ifMatch
        customerKey?.apply(to: &call.headers)
        call.hooks = hooks
        let response = try await perform(call)
        do {
            return try checked(response, call, range: range, ifMatch: ifMatch)
        } catch {
            response.body.cancel()
            throw error
        }
    }

    private func checked(
        _ response: HTTPResponse,
        _ call: S3Call,
        range: ByteRange?,
        ifMatch: String?
    ) throws -> S3ObjectBody {
        let headers = response.headers
        if let ifMatch, let etag = headers["ETag"].map(S3ETag.quoted), etag != S3ETag.quoted(ifMatch) {
            throw failure(
                call,
                code: "SluiceSourceChanged",
                "the object is now \(etag), and was \(ifMatch)",
                kind: .preconditionFailed,
                status: response.status
            )
        }
        let length = S3Client.contentLength(headers)
        let got: ByteRange
        let size: UInt64
        if let range {
            (got, size) = try part(of: response, call, asked: range)
        } else {
            guard response.status == 200, let length else {
                throw failure(
                    call,
                    code: "SluiceBadAnswer",
                    "the answer has status \(response.status) or no Content-Length",
                    kind: .invalid,
                    status: response.status
                )
            }
            (got, size) = (ByteRange(0, length), length)
        }
        if let length, length != got.count {
            throw failure(
                call,
                code: "SluiceBadAnswer",
                "Content-Length is \(length) for a range of \(got.count) bytes",
                kind: .invalid,
                status: response.status
            )
        }
        let info = S3ObjectInfo(key: call.key ?? "", size: size, headers: headers)
        return S3ObjectBody(info: info, range: got, response: response)
    }

    /// The range that a 206 really is: it begins where it was asked to, and ends there or at the object's end.
    private func part(
        of response: HTTPResponse,
        _ call: S3Call,
        asked: ByteRange
    ) throws -> (ByteRange, UInt64) {
        // `rclone serve s3` sends a part under status 200. Its length says that it is one: believed only with both.
        let hasLength = response.headers["Content-Length"] != nil
        guard response.status == 206 || response.status == 200 && hasLength,
            response.headers.all("Content-Range").count == 1,
            case .range(let got, let total?) = response.headers["Content-Range"].flatMap({ ContentRange($0) }),
            got.lower == asked.lower, got.upper == min(asked.upper, total)
        else {
            let said = response.headers["Content-Range"].map { S3Key($0.prefix(80)).description } ?? "no Content-Range"
            throw failure(
                call,
                code: "SluiceRangeIgnored",
                "bytes \(asked) were asked for, the answer is status \(response.status) with \(said)",
                kind: .invalid,
                status: response.status
            )
        }
        return (got, total)
    }

    private static func contentLength(_ headers: HTTPHeaders) -> UInt64? {
        headers["Content-Length"].flatMap { text in
            text.utf8.allSatisfy { (48...57).contains($0) } ? UInt64(text) : nil
        }
    }

    /// What a successful write tells.
    package struct Written: Sendable {
        package let etag: String
        package let versionID: String?
        package let checksums: [S3Checksum]
    }

    /// PutObject. Never replayed by itself: a conditional one's 412 may be its own doing, and any other may make a
    /// second version.
    package func put(
        bucket: String,
        key: S3Key,
        body: S3Body,
        properties: S3Properties = S3Properties(),
        condition: S3WriteCondition = .none,
        hooks: S3TransferHooks = S3TransferHooks()
    ) async throws -> Written {
        var call = S3Call("PUT", bucket: bucket, key: key)
        try checkCustomerKey(properties.customerKey, call)
        call.headers = try properties.headers()
        condition.apply(to: &call.headers)
        call.hooks = hooks
        call.isIdempotent = false
        return try await stored(body, call)
    }

    /// An answer without an ETag is not an acknowledgement.
    func written(_ response: HTTPResponse, _ call: S3Call) throws -> Written {
        guard let etag = response.headers["ETag"], !etag.isEmpty else {
            throw failure(
                call,
                code: "SluiceMissingETag",
                "the server acknowledged without an ETag",
                kind: .temporary,
                status: response.status
            )
        }
        return Written(
            etag: etag,
            versionID: response.headers["x-amz-version-id"],
            checksums: S3Checksum.all(in: response.headers)
        )
    }

    /// DeleteObject; a key that is not there counts as deleted.
    package func delete(bucket: String, key: S3Key, versionID: String? = nil) async throws {
        var call = S3Call("DELETE", bucket: bucket, key: key)
        if let versionID { call.query.append("versionId", versionID) }
        do {
            try await acknowledged(call)
        } catch let error as S3Error where error.kind == .noSuchKey {
            return
        }
    }
}
