import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3

/// The commit: a status is never taken for success, and a lost answer is resolved by the write token.
extension S3Session {
    func commit(_ request: CommitRequest) async throws -> StoredObject {
        CrashPoint.step()
        // An attempt whose end nobody knows may have been the one: another write would make a second object.
        if outcomeIsOpen, let ours = try await ownObject(byTokenOnly: true) { return try await stored(ours, request) }
        if let theirs = try await takenMeanwhile() { return try await yielded(to: theirs, request) }
        outcomeIsOpen = true
        do {
            try await makeObject(request)
        } catch let error as S3Error {
            if let ours = try await lookedUp(after: error) { return try await stored(ours, request) }
            outcomeIsOpen = false
            return try await settled(error, request)
        } catch {
            if let ours = try await ownObject() { return try await stored(ours, request) }
            outcomeIsOpen = false
            throw SluiceError.remote(error, object: location)
        }
        CrashPoint.step()
        guard let object = try await ownObject() else {
            throw SluiceError(
                .unconfirmed,
                object: location,
                "the server acknowledged the object and does not have it",
                remedy: "run the command again",
                retry: .backoff
            )
        }
        return try await stored(object, request)
    }

    private func makeObject(_ request: CommitRequest) async throws {
        switch state.mode {
        case .put: _ = try await putStaged(request, condition)
        case .copy: try await copyWhole(request)
        case .multipart: try await complete(request)
        }
    }

    private func complete(_ request: CommitRequest) async throws {
        let isChecked = client.bodyChecksum == .crc32c
        let parts = request.receipts.map { receipt in
            S3CompletedPart(
                number: receipt.part.index + 1,
                etag: receipt.tag,
                checksum: isChecked ? receipt.crc32c.map { S3Checksum($0) } : nil
            )
        }
        var options = S3Client.CompleteOptions()
        options.condition = condition
        options.size = request.size
        options.customerKey = settings.customerKey
        _ = try await client.completeMultipartUpload(
            bucket: connection.bucket,
            key: key.s3,
            uploadID: state.uploadID,
            parts: parts,
            options: options
        )
    }

    private func copyWhole(_ request: CommitRequest) async throws {
        guard let source = copySource else { throw nothingStaged }
        do {
            _ = try await client.copyObject(
                from: source,
                bucket: connection.bucket,
                key: key.s3,
                properties: properties(sha256: request.sha256 ?? plan.info.publishedSHA256)
            )
        } catch let error as S3Error where error.kind == .preconditionFailed {
            throw SluiceError(
                .sourceChanged,
                object: source.location,
                "it changed before it was copied (was \(source.etag))",
                remedy: "run the command again",
                retry: .restart
            )
        }
    }

    /// What the write that makes the object visible may ask of the server.
    private var condition: S3WriteCondition {
        let isSupported =
            switch state.mode {
            case .put: client.quirks.conditionalWrites
            case .multipart: client.quirks.conditionalComplete
            case .copy: false
            }
        guard isSupported else { return .none }
        if !plan.overwrite.mayReplace { return .ifAbsent }
        return plan.replaces.map { .ifMatch(String($0.prefix { $0 != " " })) } ?? .none
    }

    /// Where the server takes no condition, a last look stands in for it, and the time in which somebody else's object
    /// can be lost is one round trip instead of the whole upload.
    private func takenMeanwhile() async throws -> StoredObject? {
        guard condition == .none, !plan.overwrite.mayReplace || plan.replaces != nil else { return nil }
        let there = try await S3Target(connection: connection, key: key, settings: settings).existing()
        guard plan.overwrite.mayReplace else { return there }
        return there?.fingerprint == plan.replaces ? nil : there
    }

    /// Somebody else's object is under the key: success only where it is the same.
    private func yielded(to other: StoredObject?, _ request: CommitRequest) async throws -> StoredObject {
        if var other, let digest = request.sha256, other.recordedSHA256 == digest, other.size == request.size {
            await abort()
            other.note = "somebody else stored the same content meanwhile"
            return other
        }
        throw conflict(with: other, request)
    }

    // MARK: - Looking

    /// The object under our key, if it carries our token and is whole; nil if it is absent or somebody else's.
    ///
    /// - Parameter byTokenOnly: before anything was attempted here, a length proves nothing.
    private func ownObject(byTokenOnly: Bool = false) async throws -> S3ObjectInfo? {
        do {
            let object = try await client.head(
                bucket: connection.bucket,
                key: key.s3,
                customerKey: settings.customerKey
            )
            if object.writeID == state.token { return object }
            if byTokenOnly { return nil }
            // Some servers keep no metadata of a multipart upload: then the length must do, and the proof says so.
            return object.writeID == nil && !client.quirks.keepsMultipartMetadata && state.mode == .multipart
                && object.size == plan.size ? object : nil
        } catch let error as S3Error where error.kind == .noSuchKey {
            return nil
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }

    /// After a failure that may hide a success: our own object, if it is there.
    private func lookedUp(after error: S3Error) async throws -> S3ObjectInfo? {
        switch error.kind {
        case .unconfirmed, .noSuchUpload, .preconditionFailed, .temporary, .conflict, .unknown, .throttled:
            try await ownObject()
        default: nil
        }
    }

    /// What a failed commit means when the object is not ours: success only where somebody else's is the same.
    private func settled(_ error: S3Error, _ request: CommitRequest) async throws -> StoredObject {
        switch error.kind {
        case .preconditionFailed:
            let other = try await S3Target(connection: connection, key: key, settings: settings).existing()
            return try await yielded(to: other, request)
        case .noSuchKey where plan.replaces != nil && state.mode != .copy:
            throw SluiceError(
                .exists,
                object: location,
                "what was to be replaced is gone",
                remedy: "run the command again",
                retry: .restart
            )
        case .conflict where state.mode == .multipart:
            throw SluiceError(
                .serverFailed,
                object: location,
                "another write at the same moment (409)",
                remedy: "the upload starts over",
                retry: .restart
            )
        default:
            throw SluiceError(error, object: location)
        }
    }

    private func conflict(with other: StoredObject?, _ request: CommitRequest) -> SluiceError {
        let theirs = other.map { other in
            "\(other.size) bytes, " + (other.recordedSHA256.map { "\($0)" } ?? "without a recorded SHA-256")
        }
        let ours = "\(request.size) bytes" + (request.sha256.map { ", \($0)" } ?? "")
        return SluiceError(
            .exists,
            object: location,
            "somebody else wrote it meanwhile (\(theirs ?? "gone again"); ours: \(ours))",
            remedy: plan.overwrite.mayReplace
                ? "run the command again to replace that" : "give --overwrite to replace it or --no-clobber to leave it"
        )
    }

    /// The last look: length, digest, and where the digest is kept.
    private func stored(_ object: S3ObjectInfo, _ request: CommitRequest) async throws -> StoredObject {
        guard object.size == request.size else {
            throw SluiceError(
                .digestMismatch,
                object: location,
                "the object has \(object.size) bytes, \(request.size) were sent",
                remedy: "do not use it; report it to the server's operator"
            )
        }
        var note: String?
        var recorded = object.recordedSHA256
        if recorded == nil, let digest = request.sha256 ?? plan.info.publishedSHA256 {
            (recorded, note) = try await tag(digest)
        }
        if let recorded, let digest = request.sha256, recorded != digest {
            throw SluiceError(
                .digestMismatch,
                object: location,
                "\(recorded) is recorded at the object, \(digest) was sent",
                remedy: "run the command again with --overwrite"
            )
        }
        return StoredObject(
            location: location,
            size: object.size,
            fingerprint: object.fingerprint,
            recordedSHA256: recorded,
            note: note
        )
    }

    /// A digest that was not known when the upload was created goes into a tag.
    private func tag(_ digest: Digest) async throws -> (Digest?, String?) {
        let unrecorded = "this server keeps no tags: the SHA-256 is recorded only in the local state"
        guard client.quirks.tagging else { return (nil, unrecorded) }
        do {
            let record = [S3Tag(S3Record.tagName, digest.hex), S3Tag(S3Record.ownerTagName, state.token)]
            let tags = settings.properties.tags + record
            try await client.putTagging(bucket: connection.bucket, key: key.s3, tags: tags)
            CrashPoint.step()
            return (digest, nil)
        } catch let error as S3Error where !error.isTemporary {
            return (nil, "the SHA-256 could not be recorded in a tag (\(error.code))")
        } catch {
            throw SluiceError.remote(error, object: location)
        }
    }
}
