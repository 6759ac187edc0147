import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3
import SluiceTransport

/// One S3 object; every read is pinned by If-Match, and by the version id where the bucket keeps versions.
struct S3SourceObject: SourceObject, S3Located {
    let connection: S3Connection
    let key: ObjectKey

    var location: String { connection.location(key) }
    var host: String { connection.host }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        do {
            let client = try await connection.ready()
            guard prefetch > 0 else { return OpenedObject(info: try await look(client)) }
            return try await openFirst(ByteRange(0, prefetch), client, options)
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    /// One request looks and begins to read. An empty object has no first byte: 416, and a HEAD tells.
    private func openFirst(_ range: ByteRange, _ client: S3Client, _ options: ReadOptions) async throws -> OpenedObject
    {
        do {
            let body = try await client.get(
                bucket: connection.bucket,
                key: key.s3,
                range: range,
                customerKey: connection.customerKey,
                hooks: S3TransferHooks(options)
            )
            let info = try await info(body.info, client)
            let stream = ExactLengthStream(
                RemoteStream(body.response.body, object: location),
                expected: body.range.count,
                object: location
            )
            return OpenedObject(info: info, stream: stream, streamRange: body.range)
        } catch let error as S3Error where error.kind == .invalidRange || error.code == "SluiceRangeIgnored" {
            return OpenedObject(info: try await look(client))
        }
    }

    private func look(_ client: S3Client) async throws -> ObjectInfo {
        do {
            return try await info(
                client.head(bucket: connection.bucket, key: key.s3, customerKey: connection.customerKey),
                client
            )
        } catch let error as S3Error where error.kind == .accessDenied {
            // Some policies allow to get what they do not allow to head.
            let body = try await client.get(
                bucket: connection.bucket,
                key: key.s3,
                range: ByteRange(0, 1),
                customerKey: connection.customerKey
            )
            body.response.body.cancel()
            return try await info(body.info, client)
        }
    }

    private func info(_ object: S3ObjectInfo, _ client: S3Client) async throws -> ObjectInfo {
        if object.isArchived {
            throw SluiceError(
                .unsupported,
                object: location,
                "it is archived (\(object.storageClass ?? "no class"))",
                remedy: "restore it first",
                retry: .park
            )
        }
        let published = try await published(object, client)
        var info = ObjectInfo(
            size: object.size,
            pin: object.pin,
            published: published.digests,
            supportsRanges: object.size > 0,
            contentHeaders: object.content.byName,
            metadata: object.metadata.filter {
                $0.key != S3ObjectInfo.writeIDName && $0.key != S3ObjectInfo.sha256Name
            },
            modified: object.lastModified?.epochSeconds,
            proposedName: key.lastComponent,
            place: place
        )
        info.digestIsApart = published.isTagged
        return info
    }

    /// None with a customer's key: who has not the key must not be told what it opened.
    private var place: String? { connection.customerKey == nil ? connection.place(key) : nil }

    func listed(_ version: ListedVersion, size: UInt64) -> ObjectInfo? {
        let pin = Pin.etag(version.etag, size: size)
        guard let place, pin.contentTag != nil else { return nil }
        return ObjectInfo(
            size: size,
            pin: pin,
            supportsRanges: size > 0,
            modified: version.modified,
            proposedName: key.lastComponent,
            place: place
        )
    }

    /// What the bucket's owner says of the whole: our own record in metadata or tag, or a full-object checksum.
    private func published(
        _ object: S3ObjectInfo,
        _ client: S3Client
    ) async throws -> (digests: [Digest], isTagged: Bool) {
        var digests = object.checksumsAreFullObject ? object.checksums.compactMap(\.digest) : []
        if let recorded = object.recordedSHA256 {
            digests.insert(recorded, at: 0)
        } else if let writeID = object.writeID, !digests.contains(where: { $0.algorithm == .sha256 }),
            let tagged = try await S3Record.taggedSHA256(client, connection.bucket, key, writeID: writeID)
        {
            return ([tagged] + digests, true)
        }
        return (digests, false)
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        if range.isEmpty { return ChunkListStream([]) }
        do {
            let client = try await connection.ready()
            let (etag, version): (String?, String?) =
                switch info.pin {
                case .etag(let etag, _): (etag, nil)
                case .version(let id, let etag): (etag, id)
                case .weak, .file, .mixed: (nil, nil)
                }
            let body = try await client.get(
                bucket: connection.bucket,
                key: key.s3,
                range: range,
                ifMatch: etag,
                versionID: version,
                customerKey: connection.customerKey,
                hooks: S3TransferHooks(options)
            )
            guard body.range == range else {
                body.response.body.cancel()
                throw changed(info, body.info.pin.description)
            }
            return ExactLengthStream(
                RemoteStream(body.response.body, object: location),
                expected: range.count,
                object: location
            )
        } catch let error as S3Error where error.kind == .preconditionFailed || error.kind == .invalidRange {
            throw changed(info, error.message)
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    private func changed(_ info: ObjectInfo, _ now: String) -> SluiceError {
        SluiceError(
            .sourceChanged,
            object: location,
            "it changed while it was read: it was \(info.pin), now \(now)",
            remedy: "run the command again",
            retry: .restart
        )
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws {}
}

extension S3TransferHooks {
    init(_ options: ReadOptions) {
        self.init()
        window = options.window
        downloadGate = options.gate
        onReceived = options.onReceived
        idleTimeout = options.idleTimeout
    }
}
