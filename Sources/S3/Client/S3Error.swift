import SluiceTransport

/// What an S3 server answered, or failed to answer, as one value. Carries no header, URL query or key material.
package struct S3Error: Error, Sendable, Hashable, CustomStringConvertible {
    /// What to do about it. The table from codes is `S3Error+Code.swift`.
    package enum Kind: Sendable, Hashable {
        /// Too many requests: back off for the whole bucket.
        case throttled
        /// A retry may help.
        case temporary
        /// The server's clock, where it told.
        case clockSkew(serverDate: Timestamp?)
        /// The session is over: fresh credentials may help.
        case expiredToken
        /// The bucket lives in another region; nil if the answer does not say which.
        case wrongRegion(String?)
        case accessDenied
        case noSuchKey
        case noSuchBucket
        /// Never there, aborted, or already completed: look at the object.
        case noSuchUpload
        /// 412: somebody else's object is there, or our own from an attempt whose answer was lost.
        case preconditionFailed
        /// 409 ConditionalRequestConflict: another write at the same moment; on Complete the upload starts over.
        case conflict
        /// The bytes that arrived are not the bytes that were announced.
        case badDigest
        case entityTooSmall
        case quotaExceeded
        /// The object must be restored first.
        case archived
        /// 416: the range lies behind the object's end.
        case invalidRange
        /// Committed or not: nobody knows before a HEAD.
        case unconfirmed
        /// The request can never work as it is.
        case invalid
        case unknown
    }

    /// The body's `<Code>`, or a name made from the status; for our own findings a name beginning with `Sluice`.
    package let code: String
    /// The HTTP status, 0 where there is none.
    package let status: Int
    package let message: String
    package var requestID: String?
    /// The region that the answer named.
    package var region: String?
    /// How long the server asked us to wait.
    package var retryAfter: Duration?
    package let kind: Kind
    /// `s3://bucket/key` or `s3://bucket`: what it was about.
    package var resource: String?

    package init(
        code: String,
        status: Int,
        message: String,
        kind: Kind? = nil,
        serverDate: Timestamp? = nil,
        region: String? = nil
    ) {
        self.code = code
        self.status = status
        self.message = message
        self.region = region
        self.kind = kind ?? S3Error.kind(code: code, status: status, serverDate: serverDate, region: region)
    }

    package var description: String {
        let about = resource.map { "\($0): " } ?? ""
        let answer = status == 0 ? code : "\(code), status \(status)"
        return "\(about)\(message) (\(answer)\(requestID.map { ", request \($0)" } ?? ""))"
    }

    /// Whether the same request may succeed later. A clock and a session were put right once already.
    package var isTemporary: Bool {
        switch kind {
        case .throttled, .temporary, .conflict, .badDigest: true
        default: false
        }
    }
}
