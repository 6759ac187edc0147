import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3
import SluiceTransport

/// The place of one object in a bucket.
struct S3Target: SinkTarget {
    let connection: S3Connection
    let key: ObjectKey
    let settings: S3WriteSettings

    var location: String { connection.location(key) }
    var host: String { connection.host }
    let pacesWrites = true

    /// Parts of 8 MiB: small enough to be held whole in memory many times, and 10,000 of them are 78 GiB before the
    /// planner has to grow them.
    private static let preferredPart: UInt64 = 8 << 20

    /// Above it, to read an object back costs more than is gained. What git holds itself is below, at the hubs.
    private static let mostRead: UInt64 = 16 << 20

    var capabilities: SinkCapabilities {
        get async throws {
            let client = try await connection.ready()
            let quirks = client.quirks
            return SinkCapabilities(
                shape: .parts,
                minimumPart: quirks.minPartSize,
                maximumPart: quirks.maxPartSize,
                maximumParts: quirks.maxParts,
                equalParts: quirks.equalParts,
                preferredPart: S3Target.preferredPart,
                partDigests: S3Session.partDigests(client)
            )
        }
    }

    func existing() async throws -> StoredObject? {
        do {
            let client = try await connection.ready()
            let object = try await client.head(
                bucket: connection.bucket,
                key: key.s3,
                customerKey: settings.customerKey
            )
            return StoredObject(
                location: location,
                size: object.size,
                fingerprint: object.fingerprint,
                recordedSHA256: try await S3Record.sha256(of: object, client, connection.bucket, key)?.digest
            )
        } catch let error as S3Error where error.kind == .noSuchKey {
            return nil
        } catch let error as S3Error where error.kind == .accessDenied {
            throw SluiceError(
                .notAuthorised,
                object: location,
                "what is there may not be looked at (\(error.code)), so it is not known whether it would be replaced",
                remedy: "check the credentials; allow s3:GetObject for it, or give --overwrite",
                retry: .park
            )
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? {
        if digest.algorithm == .sha256 { return stored.recordedSHA256.map { $0 == digest } }
        guard stored.size <= S3Target.mostRead else { return nil }
        return try await hash(digest.algorithm, of: stored) == digest
    }

    /// What a hub knows by another digest only: no server computes git's names or BLAKE3, so what is small is read.
    private func hash(_ algorithm: DigestAlgorithm, of stored: StoredObject) async throws -> Digest? {
        do {
            let body = try await connection.ready().get(
                bucket: connection.bucket,
                key: key.s3,
                ifMatch: String(stored.fingerprint.prefix { $0 != " " }),
                customerKey: settings.customerKey
            )
            .response.body
            let hash = RunningDigest(algorithm, size: stored.size)
            while let chunk = try await body.next() { hash.update(chunk) }
            return hash.finish()
        } catch let error as S3Error where error.kind == .preconditionFailed || error.kind == .noSuchKey {
            return nil
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    func adopt(_ stored: StoredObject, digest: Digest, overwrite: OverwritePolicy) async throws -> StoredObject? {
        guard stored.recordedSHA256 == digest, let source = S3Address(stored.location),
            source.bucket == connection.bucket
        else { return nil }
        let client = try await connection.ready()
        guard client.quirks.copy, stored.size <= client.quirks.maxPartSize else { return nil }
        let etag = String(stored.fingerprint.prefix { $0 != " " })
        let from = S3CopySource(
            bucket: source.bucket,
            key: source.key.s3,
            etag: etag,
            customerKey: settings.customerKey
        )
        let session = S3Session(
            connection: connection,
            key: key,
            client: client,
            settings: settings,
            plan: WritePlan(
                size: stored.size,
                partSize: max(1, stored.size),
                info: ObjectInfo(size: stored.size, pin: .etag(etag, size: stored.size), supportsRanges: true),
                expected: digest,
                overwrite: overwrite
            )
        )
        await session.stage(from)
        return try await session.commit(CommitRequest(size: stored.size, sha256: digest, receipts: []))
    }

    func mayCopyOnServer(from object: any SourceObject) -> Bool { located(object) != nil }

    /// The source, if it is in reach of this endpoint's own copy.
    private func located(_ object: any SourceObject) -> (any S3Located)? {
        guard let source = object as? any S3Located, source.connection.account == connection.account else { return nil }
        return source
    }

    func serverSideCopy(from object: any SourceObject, info: ObjectInfo) async throws -> (any ServerSideCopy)? {
        guard let source = located(object), let size = info.size else { return nil }
        let (etag, version): (String, String?)
        switch info.pin {
        case .etag(let tag, _): (etag, version) = (tag, nil)
        case .version(let id, let tag): (etag, version) = (tag, id)
        case .weak, .file, .mixed: return nil
        }
        let quirks = try await connection.ready().quirks
        guard size <= S3ServerCopy.largestSingle ? quirks.copy : quirks.multipartCopy else { return nil }
        let from = S3CopySource(
            bucket: source.connection.bucket,
            key: source.key.s3,
            etag: etag,
            versionID: version,
            customerKey: source.connection.customerKey
        )
        return S3ServerCopy(source: from, size: size, quirks: quirks)
    }

    func begin(_ plan: WritePlan) async throws -> any SinkSession {
        S3Session(
            connection: connection,
            key: key,
            client: try await connection.ready(),
            settings: settings,
            plan: plan
        )
    }
}

extension S3WriteSettings {
    /// The customer's key that every request for the object needs.
    var customerKey: S3CustomerKey? {
        if case .customer(let key) = properties.encryption { key } else { nil }
    }
}

/// `s3://bucket/key` taken apart.
package struct S3Address: Sendable, Hashable {
    package let bucket: String
    package let key: ObjectKey

    /// Nil if it is not one, or names no bucket.
    package init?(_ location: String) {
        guard location.hasPrefix("s3://") else { return nil }
        let rest = Array(location.utf8.dropFirst(5))
        let bucket = rest.prefix { $0 != UInt8(ascii: "/") }
        guard !bucket.isEmpty else { return nil }
        self.bucket = String(decoding: bucket, as: UTF8.self)
        key = ObjectKey(bytes: rest.dropFirst(bucket.count + 1))
    }
}

/// A copy within one server: one CopyObject for what fits, UploadPartCopy for the rest.
struct S3ServerCopy: ServerSideCopy {
    /// Above this, parts are copied in parallel (aws-c-s3's threshold; S3's own limit is 5 GiB).
    static let largestSingle: UInt64 = 1 << 30

    let source: S3CopySource
    let size: UInt64
    let quirks: EndpointQuirks

    var partSize: UInt64 {
        guard size > S3ServerCopy.largestSingle else { return max(1, size) }
        return max(128 << 20, size / UInt64(max(1, quirks.maxParts)) + 1)
    }

    func copy(part: Part, session: any SinkSession) async throws -> PartReceipt {
        guard let session = session as? S3Session else {
            throw SluiceError(.internalFault, "a copy within S3 needs an S3 session")
        }
        return try await session.copy(part: part, from: source, isOnly: size <= S3ServerCopy.largestSingle)
    }
}
