import SluiceBytes

/// An access key, its secret, and for temporary ones the session token and the end of their life.
package struct S3Credentials: Sendable, Hashable {
    package let accessKeyID: String
    package let secretKey: Secret
    package let sessionToken: Secret?
    package let expiration: Timestamp?

    package init(
        accessKeyID: String,
        secretKey: Secret,
        sessionToken: Secret? = nil,
        expiration: Timestamp? = nil
    ) {
        self.accessKeyID = accessKeyID
        self.secretKey = secretKey
        self.sessionToken = sessionToken
        self.expiration = expiration
    }
}
