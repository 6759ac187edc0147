import SluiceBytes
import SluiceTransport

extension S3Client {
    /// CreateMultipartUpload. Never replayed by itself: each one that arrives makes an upload.
    ///
    /// - Parameter checksum: announced for the parts; with `quirks.fullObjectCRC` a CRC is of the whole object.
    package func createMultipartUpload(
        bucket: String,
        key: S3Key,
        properties: S3Properties = S3Properties(),
        checksum: DigestAlgorithm? = nil
    ) async throws -> String {
        var call = S3Call("POST", bucket: bucket, key: key, query: S3Query(["uploads": ""]))
        try checkCustomerKey(properties.customerKey, call)
        call.headers = try properties.headers()
        if let checksum, let name = S3Checksum.name(of: checksum) {
            call.headers["x-amz-checksum-algorithm"] = name
            if S3Client.isFullObject(checksum, quirks) { call.headers["x-amz-checksum-type"] = "FULL_OBJECT" }
        }
        call.isIdempotent = false
        let root: XMLElement
        do {
            // `rclone serve s3` leaves the last word out.
            root = try await document(call, root: "InitiateMultipartUploadResult", other: "InitiateMultipartUpload")
        } catch let error as S3Error where checksum != nil && learns(from: error) {
            return try await createMultipartUpload(bucket: bucket, key: key, properties: properties)
        }
        guard let id = root.text(of: "UploadId") else {
            throw failure(call, code: "SluiceBadAnswer", "the answer has no UploadId", kind: .invalid, status: 200)
        }
        return id
    }

    /// CRCs of parts combine to the whole object's; hashes do not.
    static func isFullObject(_ algorithm: DigestAlgorithm, _ quirks: EndpointQuirks) -> Bool {
        switch algorithm {
        case .crc32, .crc32c, .crc64nvme: quirks.fullObjectCRC
        case .sha256, .sha1, .gitSHA1, .blake3, .md5: false
        }
    }

    /// UploadPart: numbers 1 to 10,000. The last one that arrived holds.
    package func uploadPart(
        bucket: String,
        key: S3Key,
        uploadID: String,
        number: Int,
        body: S3Body,
        customerKey: S3CustomerKey? = nil,
        hooks: S3TransferHooks = S3TransferHooks()
    ) async throws -> S3CompletedPart {
        var call = S3Call("PUT", bucket: bucket, key: key)
        try checkCustomerKey(customerKey, call)
        call.query = S3Query(["partNumber": String(number), "uploadId": uploadID])
        customerKey?.apply(to: &call.headers)
        call.hooks = hooks
        let written = try await stored(body, call)
        let sent = body.checksum.flatMap { $0.algorithm == .md5 ? nil : $0 }
        if let sent, let told = written.checksums.first(where: { $0.algorithm == sent.algorithm }), told != sent {
            throw failure(
                call,
                code: "SluiceChecksumMismatch",
                "part \(number) was sent with \(sent.base64), the server has \(told.base64)",
                kind: .badDigest,
                status: 200
            )
        }
        return S3CompletedPart(number: number, etag: written.etag, checksum: sent)
    }

    /// What is checked at the server when an upload is completed.
    package struct CompleteOptions: Sendable {
        package var condition = S3WriteCondition.none
        /// The whole object's length in bytes, and its CRC; sent where the endpoint checks them.
        package var size: UInt64?
        package var checksum: S3Checksum?
        package var customerKey: S3CustomerKey?

        package init() {}
    }

    /// CompleteMultipartUpload.
    ///
    /// - Throws: `S3Error`; `.unconfirmed` and `.noSuchUpload` are resolved by looking for the write token with
    ///   `head`, never by guessing.
    package func completeMultipartUpload(
        bucket: String,
        key: S3Key,
        uploadID: String,
        parts: [S3CompletedPart],
        options: CompleteOptions = CompleteOptions()
    ) async throws -> Written {
        var call = S3Call("POST", bucket: bucket, key: key, query: S3Query(["uploadId": uploadID]))
        try checkCustomerKey(options.customerKey, call)
        options.condition.apply(to: &call.headers)
        options.customerKey?.apply(to: &call.headers)
        if quirks.fullObjectCRC {
            if let size = options.size { call.headers["x-amz-mp-object-size"] = String(size) }
            if let checksum = options.checksum, S3Client.isFullObject(checksum.algorithm, quirks) {
                call.headers["x-amz-checksum-type"] = "FULL_OBJECT"
                call.headers[checksum.headerName] = checksum.base64
            }
        }
        call.body = .document(try reading(call) { try XMLWriter.completeMultipartUpload(parts) })
        call.isIdempotent = false
        let root = try await commit(call, root: "CompleteMultipartUploadResult")
        let checksums = DigestAlgorithm.allCases.compactMap { algorithm in
            S3Checksum.name(of: algorithm).flatMap { root.text(of: "Checksum\($0)") }
                .map { S3Checksum(algorithm, base64: $0) }
        }
        return Written(etag: root.etag ?? "", versionID: nil, checksums: checksums)
    }

    /// AbortMultipartUpload; one that is not there counts as aborted.
    ///
    /// A part that was in flight can come to life again: abort after all of them ended, then ask `listParts`.
    package func abortMultipartUpload(bucket: String, key: S3Key, uploadID: String) async throws {
        let call = S3Call("DELETE", bucket: bucket, key: key, query: S3Query(["uploadId": uploadID]))
        do {
            try await acknowledged(call)
        } catch let error as S3Error where error.kind == .noSuchUpload {
            return
        }
    }

    /// ListParts, all pages: what the server holds is the truth for a resume.
    package func listParts(
        bucket: String,
        key: S3Key,
        uploadID: String,
        customerKey: S3CustomerKey? = nil
    ) async throws -> [S3ListedPart] {
        var parts: [S3ListedPart] = []
        var marker: UInt64?
        while true {
            var call = S3Call("GET", bucket: bucket, key: key, query: S3Query(["uploadId": uploadID]))
            customerKey?.apply(to: &call.headers)
            if let marker { call.query.append("part-number-marker", String(marker)) }
            let root = try await document(call, root: "ListPartsResult")
            let page = try reading(call) { try ListPartsPage(root) }
            parts.append(contentsOf: page.parts)
            guard page.isTruncated else { return parts }
            guard let next = page.nextMarker, next > marker ?? 0 else { throw noProgress(call) }
            marker = next
        }
    }

    /// ListMultipartUploads under a prefix, all pages.
    package func listMultipartUploads(bucket: String, prefix: S3Key = "") async throws -> [S3UnfinishedUpload] {
        var uploads: [S3UnfinishedUpload] = []
        var marker: (key: S3Key, id: String?)?
        while true {
            var call = S3Call("GET", bucket: bucket, query: S3Query(["uploads": ""]))
            if quirks.listEncoding { call.query.append("encoding-type", "url") }
            if !prefix.bytes.isEmpty { call.query.append(Array("prefix".utf8), prefix.bytes) }
            if let marker {
                call.query.append(Array("key-marker".utf8), marker.key.bytes)
                if let id = marker.id { call.query.append("upload-id-marker", id) }
            }
            let root = try await document(call, root: "ListMultipartUploadsResult")
            let page = try reading(call) { try MultipartUploadsPage(root) }
            uploads.append(contentsOf: page.uploads)
            guard page.isTruncated else { return uploads }
            guard let key = page.nextKeyMarker, marker?.key != key || marker?.id != page.nextUploadIDMarker else {
                throw noProgress(call)
            }
            marker = (key, page.nextUploadIDMarker)
        }
    }

    func noProgress(_ call: S3Call) -> S3Error {
        failure(
            call,
            code: "SluiceListingStuck",
            "the listing is not at its end and does not go on",
            kind: .invalid,
            status: 200
        )
    }
}
