import SluiceBytes
import SluiceTransport

/// What a server-side copy reads, on the same endpoint.
package struct S3CopySource: Sendable {
    package let bucket: String
    package let key: S3Key
    package let versionID: String?
    /// Sent with every attempt of every part: else one object is made of two versions.
    package let etag: String
    package var customerKey: S3CustomerKey?

    package init(
        bucket: String,
        key: S3Key,
        etag: String,
        versionID: String? = nil,
        customerKey: S3CustomerKey? = nil
    ) {
        self.bucket = bucket
        self.key = key
        self.versionID = versionID
        self.etag = etag
        self.customerKey = customerKey
    }

    func apply(to headers: inout HTTPHeaders) {
        let version = versionID.map { "?versionId=\(S3Encoding.component($0.utf8))" } ?? ""
        headers["x-amz-copy-source"] = "\(bucket)/\(key.encodedPath)\(version)"
        headers["x-amz-copy-source-if-match"] = etag
        customerKey?.apply(to: &headers, copySource: true)
    }
}

extension S3Client {
    /// CopyObject, at most `quirks.maxPartSize` bytes. Never replayed by itself, as a PUT.
    ///
    /// - Parameter properties: nil: everything is taken over from the source; else these replace them.
    package func copyObject(
        from source: S3CopySource,
        bucket: String,
        key: S3Key,
        properties: S3Properties? = nil,
        condition: S3WriteCondition = .none,
        hooks: S3TransferHooks = S3TransferHooks()
    ) async throws -> Written {
        var call = S3Call("PUT", bucket: bucket, key: key)
        try checkCustomerKey(properties?.customerKey ?? source.customerKey, call)
        if let properties {
            call.headers = try properties.headers()
            call.headers["x-amz-metadata-directive"] = "REPLACE"
            if !properties.tags.isEmpty { call.headers["x-amz-tagging-directive"] = "REPLACE" }
        }
        source.apply(to: &call.headers)
        condition.apply(to: &call.headers)
        call.hooks = hooks
        call.isIdempotent = false
        let root = try await commit(call, root: "CopyObjectResult")
        return Written(etag: root.etag ?? "", versionID: nil, checksums: [])
    }

    /// UploadPartCopy of one range of the source. It commits nothing that is visible: what went wrong with it is
    /// simply done again.
    package func uploadPartCopy(
        from source: S3CopySource,
        range: ByteRange,
        bucket: String,
        key: S3Key,
        uploadID: String,
        number: Int,
        customerKey: S3CustomerKey? = nil,
        hooks: S3TransferHooks = S3TransferHooks()
    ) async throws -> S3CompletedPart {
        var call = S3Call("PUT", bucket: bucket, key: key)
        try checkCustomerKey(customerKey ?? source.customerKey, call)
        call.query = S3Query(["partNumber": String(number), "uploadId": uploadID])
        source.apply(to: &call.headers)
        customerKey?.apply(to: &call.headers)
        guard let text = range.httpRange else {
            throw failure(call, code: "SluiceEmptyRange", "an empty range cannot be copied", kind: .invalid)
        }
        call.headers["x-amz-copy-source-range"] = text
        call.hooks = hooks
        let root = try await document(call, root: "CopyPartResult")
        guard let etag = root.etag else {
            throw failure(
                call,
                code: "SluiceMissingETag",
                "the server acknowledged without an ETag",
                kind: .temporary,
                status: 200
            )
        }
        let name = quirks.headerChecksums.lazy.compactMap { algorithm in
            S3Checksum.name(of: algorithm).flatMap { root.text(of: "Checksum\($0)") }
                .map { S3Checksum(algorithm, base64: $0) }
        }.first
        return S3CompletedPart(number: number, etag: etag, checksum: name)
    }
}
