/// Temporary credentials that are fetched anew ahead of their end: one fetch at a time, whoever asks.
///
/// A failed fetch is told to those who waited for it and is not remembered: the next request tries again, though not
/// before `retryDelay` while the old credentials still hold.
package actor RefreshingCredentials: CredentialsProvider {
    /// Fresh ones are fetched this long before the end (botocore's advisory time).
    private static let refreshAhead: Int64 = 15 * 60
    /// From here on nobody goes on with the old ones (botocore's mandatory time is 10 minutes; a request that was
    /// signed inside this minute still arrives in time).
    private static let holdsUntil: Int64 = 60
    private static let retryDelay: Int64 = 30

    private let fetch: @Sendable () async throws -> S3Credentials
    private var current: S3Credentials?
    private var running: Task<S3Credentials, any Error>?
    private var lastFailure: Timestamp?

    package init(fetch: @escaping @Sendable () async throws -> S3Credentials) {
        self.fetch = fetch
    }

    package func credentials(now: Timestamp) async throws -> S3Credentials? {
        guard let current else { return try await fetched(now: now) }
        guard let end = current.expiration, end < now.advanced(by: RefreshingCredentials.refreshAhead) else {
            return current
        }
        let stillHolds = end > now.advanced(by: RefreshingCredentials.holdsUntil)
        if stillHolds, let lastFailure, now < lastFailure.advanced(by: RefreshingCredentials.retryDelay) {
            return current
        }
        do {
            return try await fetched(now: now)
        } catch {
            if stillHolds { return current }
            throw error
        }
    }

    package func refreshed(after refused: S3Credentials, now: Timestamp) async throws -> S3Credentials? {
        if let current, current != refused { return current }
        return try await fetched(now: now)
    }

    private func fetched(now: Timestamp) async throws -> S3Credentials {
        if let running { return try await running.value }
        // Unstructured on purpose: the fetch belongs to all who wait for it, and must not die with the first of them.
        let task = Task { try await fetch() }
        running = task
        defer { running = nil }
        do {
            let fresh = try await task.value
            current = fresh
            lastFailure = nil
            return fresh
        } catch {
            lastFailure = now
            throw error
        }
    }
}
