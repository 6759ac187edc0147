/// Where credentials come from. Asked for every attempt of every request, so it must be quick when nothing changed.
package protocol CredentialsProvider: Sendable {
    /// Credentials that are good at `now`; nil: send the request unsigned.
    ///
    /// - Throws: `CredentialsError`.
    func credentials(now: Timestamp) async throws -> S3Credentials?

    /// Called when a server refused `refused` as expired. Others for it, or the same if there are none.
    func refreshed(after refused: S3Credentials, now: Timestamp) async throws -> S3Credentials?
}

extension CredentialsProvider {
    /// What never changes has nothing fresher.
    package func refreshed(after refused: S3Credentials, now: Timestamp) async throws -> S3Credentials? {
        try await credentials(now: now)
    }
}

/// Credentials that were given and stay as they are.
package struct StaticCredentials: CredentialsProvider {
    private let value: S3Credentials

    package init(_ value: S3Credentials) {
        self.value = value
    }

    package func credentials(now: Timestamp) async throws -> S3Credentials? { value }
}

/// `--no-sign-request`: public buckets.
package struct AnonymousCredentials: CredentialsProvider {
    package init() {}

    package func credentials(now: Timestamp) async throws -> S3Credentials? { nil }
}
