extension S3Error {
    /// The one table from S3's codes to kinds. The body's code beats the status: a 400 RequestTimeout is temporary,
    /// a 403 RequestTimeTooSkewed is a clock.
    static func kind(code: String, status: Int, serverDate: Timestamp?, region: String?) -> Kind {
        switch code {
        case "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException", "ThrottledException",
            "RequestThrottled", "RequestThrottledException", "TooManyRequests", "TooManyRequestsException",
            "RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "PriorRequestNotComplete",
            "ProvisionedThroughputExceededException", "TransactionInProgressException", "EC2ThrottledException",
            "ServiceUnavailable":
            return .throttled
        case "InternalError", "InternalErrors", "RequestTimeout", "RequestTimeoutException",
            "OperationAborted", "IncompleteBody", "XMinioServerNotInitialized", "NotReady", "BadGateway":
            return .temporary
        case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture": return .clockSkew(serverDate: serverDate)
        case "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired": return .expiredToken
        case "PermanentRedirect", "TemporaryRedirect", "Redirect", "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException", "IllegalLocationConstraint":
            return .wrongRegion(region)
        case "AccessDenied", "AllAccessDisabled", "AccountProblem", "InvalidAccessKeyId", "SignatureDoesNotMatch",
            "InvalidSecurity", "NotSignedUp", "UnauthorizedAccess", "Forbidden", "Unauthorized":
            return .accessDenied
        case "NoSuchKey", "NoSuchVersion", "NotFound": return .noSuchKey
        case "NoSuchBucket": return .noSuchBucket
        case "NoSuchUpload": return .noSuchUpload
        case "PreconditionFailed": return .preconditionFailed
        case "ConditionalRequestConflict": return .conflict
        case "BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidDigest":
            return .badDigest
        case "EntityTooSmall": return .entityTooSmall
        case "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage":
            return .quotaExceeded
        case "InvalidObjectState": return .archived
        case "InvalidRange": return .invalidRange
        case "InvalidPart", "InvalidPartOrder", "InvalidArgument", "InvalidRequest", "MalformedXML", "KeyTooLongError",
            "EntityTooLarge", "MissingContentLength", "NotImplemented", "MethodNotAllowed", "InvalidBucketName",
            "InvalidStorageClass", "InvalidTag", "MetadataTooLarge", "UnsupportedArgument":
            return .invalid
        default: return kind(status: status, region: region)
        }
    }

    /// What a status says where no code does: a HEAD error has no body, a proxy answers in HTML.
    private static func kind(status: Int, region: String?) -> Kind {
        switch status {
        case 301, 302, 307, 308: .wrongRegion(region)
        case 401, 403: .accessDenied
        case 404, 410: .noSuchKey
        case 409: .conflict
        case 412: .preconditionFailed
        case 416: .invalidRange
        case 429, 503: .throttled
        case 408, 425, 499, 500, 502, 504, 520...529: .temporary
        case 507: .quotaExceeded
        case 400, 405, 411, 413, 414, 431, 501: .invalid
        default: .unknown
        }
    }

    /// A name for a status without a code.
    package static func codeName(status: Int) -> String {
        switch status {
        case 301: "PermanentRedirect"
        case 302, 307, 308: "TemporaryRedirect"
        case 400: "BadRequest"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "NotFound"
        case 412: "PreconditionFailed"
        case 416: "InvalidRange"
        case 429: "TooManyRequests"
        case 500: "InternalError"
        case 503: "ServiceUnavailable"
        case 507: "InsufficientStorage"
        default: "HTTP\(status)"
        }
    }
}
