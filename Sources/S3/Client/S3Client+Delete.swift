import SluiceBytes
import SluiceTransport

extension S3Client {
    /// Deletes keys, in batches where the endpoint takes them, and tells what became of each.
    ///
    /// Keys that XML cannot carry are deleted one by one. A key that the answer does not mention is an error of
    /// its own: it may be gone or not.
    ///
    /// - Throws: only `CancellationError` and `CredentialsError`; everything else is in the outcomes.
    package func deleteObjects(bucket: String, keys: [S3Key]) async throws -> [S3DeleteOutcome] {
        var seen = Set<S3Key>()
        let unique = keys.filter { seen.insert($0).inserted }
        let batchable = quirks.deleteBatchLimit > 1 ? unique.filter(\.fitsXML) : []
        let single = quirks.deleteBatchLimit > 1 ? unique.filter { !$0.fitsXML } : unique
        var outcomes: [S3DeleteOutcome] = []
        for start in stride(from: 0, to: batchable.count, by: max(1, quirks.deleteBatchLimit)) {
            let batch = Array(batchable[start..<min(start + quirks.deleteBatchLimit, batchable.count)])
            outcomes.append(contentsOf: try await deleteBatch(bucket: bucket, keys: batch))
        }
        for key in single {
            let error = try await caught { try await delete(bucket: bucket, key: key) }
            outcomes.append(S3DeleteOutcome(key: key, error: error))
        }
        return outcomes
    }

    private func deleteBatch(bucket: String, keys: [S3Key]) async throws -> [S3DeleteOutcome] {
        var call = S3Call("POST", bucket: bucket, query: S3Query(["delete": ""]))
        var told: [S3Key: S3Error?] = [:]
        let failure = try await caught {
            call.body = .document(try reading(call) { try XMLWriter.deleteObjects(keys) })
            let root = try await document(call, root: "DeleteResult")
            told = try reading(call) { try root.deleteOutcomes() }
        }
        if let failure { return keys.map { S3DeleteOutcome(key: $0, error: failure) } }
        return keys.map { key in
            guard var error = told[key] else {
                return S3DeleteOutcome(key: key, error: unmentioned(bucket, key))
            }
            error?.resource = "s3://\(bucket)/\(key)"
            return S3DeleteOutcome(key: key, error: error)
        }
    }

    private func unmentioned(_ bucket: String, _ key: S3Key) -> S3Error {
        failure(
            S3Call("POST", bucket: bucket, key: key),
            code: "SluiceUnconfirmed",
            "the answer does not say whether it was deleted",
            kind: .unconfirmed,
            status: 200
        )
    }

    /// What `body` failed with, as an outcome; what ends the whole run is thrown on.
    private func caught(_ body: () async throws -> Void) async throws -> S3Error? {
        do {
            try await body()
            return nil
        } catch let error as S3Error {
            return error
        } catch let error as TransportError {
            return S3Error(code: "SluiceTransport", status: 0, message: error.description, kind: .temporary)
        }
    }
}
