import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3

/// One object on its way into a bucket: a single PUT at commit, or a multipart upload that another process can take up.
actor S3Session: SinkSession {
    let connection: S3Connection
    let key: ObjectKey
    let client: S3Client
    let settings: S3WriteSettings
    let plan: WritePlan
    private(set) var state: S3SessionRecord
    private var staged: StagedPart?
    private(set) var copySource: S3CopySource?
    /// Whether an attempt to make the object, here or in an earlier process, may have succeeded: then look first.
    var outcomeIsOpen: Bool
    private var confirmedParts: [PartReceipt] = []

    init(connection: S3Connection, key: ObjectKey, client: S3Client, settings: S3WriteSettings, plan: WritePlan) {
        self.connection = connection
        self.key = key
        self.client = client
        self.settings = settings
        self.plan = plan
        let isSingle = plan.size.map { $0 <= plan.partSize } ?? false
        let earlier = plan.resume.flatMap { S3SessionRecord($0) }
        state = earlier ?? S3SessionRecord(mode: isSingle ? .put : .multipart, token: S3Session.newToken())
        outcomeIsOpen = earlier != nil
    }

    /// The one part of a small object, kept until commit.
    private struct StagedPart {
        let chunks: [Chunk]
        let digests: [Digest]
        let options: WriteOptions
    }

    /// 128 random bits: what proves that an object is the one this transfer made.
    private static func newToken() -> String {
        var generator = SystemRandomNumberGenerator()
        return TextEncoding.hex((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    nonisolated var location: String { connection.location(key) }

    var record: [UInt8] { state.encoded }

    var confirmed: [PartReceipt] { confirmedParts }

    // MARK: - Beginning

    func prepare() async throws {
        guard state.mode == .multipart else { return }
        if !state.uploadID.isEmpty, try await takeUp() { return }
        CrashPoint.step()
        do {
            state.uploadID = try await client.createMultipartUpload(
                bucket: connection.bucket,
                key: key.s3,
                properties: properties(sha256: plan.expected),
                // Where one is announced, Complete must name that of every part, and nobody here knows a copied one's.
                checksum: client.bodyChecksum == .md5 || plan.isServerCopy ? nil : .crc32c
            )
        } catch {
            throw SluiceError.remote(error, object: location)
        }
        CrashPoint.step()
    }

    /// What the server lists is the truth: a receipt counts if the part is there with its length, ETag and checksum.
    private func takeUp() async throws -> Bool {
        let listed: [S3ListedPart]
        do {
            listed = try await client.listParts(
                bucket: connection.bucket,
                key: key.s3,
                uploadID: state.uploadID,
                customerKey: settings.customerKey
            )
        } catch let error as S3Error where error.kind == .noSuchUpload {
            return false
        } catch {
            throw SluiceError.remote(error, object: location)
        }
        if client.state.checksCRC32C == nil, !listed.isEmpty {
            client.state.checksCRC32C = listed.contains { $0.checksums.contains { $0.algorithm == .crc32c } }
        }
        let parts = Dictionary(listed.map { ($0.number, $0) }) { _, last in last }
        confirmedParts = plan.receipts.filter { receipt in
            guard let part = parts[receipt.part.index + 1], part.size == receipt.part.range.count,
                part.etag == receipt.tag
            else { return false }
            let checksum = part.checksums.first { $0.algorithm == .crc32c }
            return checksum == nil || receipt.crc32c == nil || checksum == receipt.crc32c
        }
        return true
    }

    /// What is stored beside the bytes.
    func properties(sha256: Digest?) -> S3Properties {
        var properties = settings.properties
        let content = plan.info.contentHeaders
        properties.content.type = properties.content.type ?? content["content-type"]
        properties.content.encoding = properties.content.encoding ?? content["content-encoding"]
        properties.content.disposition = properties.content.disposition ?? content["content-disposition"]
        properties.content.language = properties.content.language ?? content["content-language"]
        properties.content.cacheControl = properties.content.cacheControl ?? content["cache-control"]
        properties.content.expires = properties.content.expires ?? content["expires"]
        properties.metadata.merge(plan.info.metadata) { own, _ in own }
        properties.metadata[S3ObjectInfo.writeIDName] = state.token
        if let sha256, sha256.algorithm == .sha256 { properties.metadata[S3ObjectInfo.sha256Name] = sha256.hex }
        return properties
    }

    // MARK: - Parts

    /// Digests that a part's request will need, so that they are computed beside the transfer and only once.
    static func partDigests(_ client: S3Client) -> Set<DigestAlgorithm> { client.signsPayload ? [.sha256] : [] }

    private func body(_ chunks: [Chunk], _ digests: [Digest]) -> S3Body {
        let crc = digests.first { $0.algorithm == .crc32c }.map { S3Checksum($0) }
        var body = S3Body(chunks, sha256: digests.first { $0.algorithm == .sha256 }?.hex)
        // A signed payload is verified by its SHA-256; MD5 beside it would prove nothing more.
        let kind = client.bodyChecksum
        let md5 = client.signsPayload || kind == .crc32c ? nil : RunningDigest.hash(.md5, of: chunks)
        switch kind {
        case .crc32c: body.checksum = crc
        case .md5: body.checksum = md5.map { S3Checksum($0) }
        case .unknown: (body.checksum, body.md5) = (crc, md5.map { S3Checksum($0) })
        }
        return body
    }

    func write(
        part: Part,
        chunks: [Chunk],
        digests: [Digest],
        options: WriteOptions
    ) async throws -> PartReceipt {
        let crc = digests.first { $0.algorithm == .crc32c }
        guard state.mode == .multipart else {
            staged = StagedPart(chunks: chunks, digests: digests, options: options)
            return PartReceipt(part: part, tag: "", crc32c: crc)
        }
        let (id, body) = (state.uploadID, body(chunks, digests))
        CrashPoint.step()
        do {
            let done = try await client.uploadPart(
                bucket: connection.bucket,
                key: key.s3,
                uploadID: id,
                number: part.index + 1,
                body: body,
                customerKey: settings.customerKey,
                hooks: S3TransferHooks(options)
            )
            CrashPoint.step()
            return PartReceipt(part: part, tag: done.etag, crc32c: crc)
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    /// Sends the staged single part.
    func putStaged(_ request: CommitRequest, _ condition: S3WriteCondition) async throws -> S3Client.Written {
        guard let staged else { throw nothingStaged }
        return try await client.put(
            bucket: connection.bucket,
            key: key.s3,
            body: body(staged.chunks, staged.digests),
            properties: properties(sha256: request.sha256),
            condition: condition,
            hooks: S3TransferHooks(staged.options)
        )
    }

    /// The process that had the bytes, or the copy's source, is gone: they have to come again.
    var nothingStaged: SluiceError {
        SluiceError(
            .unconfirmed,
            object: location,
            "an earlier run was about to write it, and did not",
            remedy: "run the command again",
            retry: .restart
        )
    }

    // MARK: - Copies within the server

    /// Makes this session a CopyObject at commit.
    func stage(_ source: S3CopySource) {
        state.mode = .copy
        copySource = source
    }

    func copy(part: Part, from source: S3CopySource, isOnly: Bool) async throws -> PartReceipt {
        guard !isOnly else {
            stage(source)
            return PartReceipt(part: part, tag: "", crc32c: nil)
        }
        CrashPoint.step()
        do {
            let done = try await client.uploadPartCopy(
                from: source,
                range: part.range,
                bucket: connection.bucket,
                key: key.s3,
                uploadID: state.uploadID,
                number: part.index + 1,
                customerKey: settings.customerKey
            )
            CrashPoint.step()
            return PartReceipt(part: part, tag: done.etag, crc32c: nil)
        } catch let error as S3Error where error.kind == .preconditionFailed {
            throw SluiceError(
                .sourceChanged,
                object: source.location,
                "it changed while it was copied (was \(source.etag))",
                remedy: "run the command again",
                retry: .restart
            )
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    // MARK: - Ending

    func abort() async {
        let upload = state.uploadID
        staged = nil
        guard state.mode == .multipart, !upload.isEmpty else { return }
        // The caller's task may be cancelled already, and a request in it would fail at once: this one must not.
        let (client, bucket, key) = (client, connection.bucket, key)
        let task = Task(executorPreference: BlockingExecutor.shared) {
            CrashPoint.step()
            do {
                try await client.abortMultipartUpload(bucket: bucket, key: key.s3, uploadID: upload)
                CrashPoint.step()
                return true
            } catch {
                // The first error is the one that counts; `sluice cleanup` finds what is left here.
                return false
            }
        }
        if await task.value { state.uploadID = "" }
    }
}

extension S3CopySource {
    /// For errors.
    var location: String { "s3://\(bucket)/\(key)" }
}

extension S3TransferHooks {
    init(_ options: WriteOptions) {
        self.init()
        uploadGate = options.gate
        onSent = options.onSent
    }
}
