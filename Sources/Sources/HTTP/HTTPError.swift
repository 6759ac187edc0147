import SluicePipeline
import SluiceTransport

extension SluiceError {
    /// What an HTTP status that is no success means for a source (RFC 9110 §15).
    init(httpStatus status: Int, headers: HTTPHeaders, object: String, now: Int64) {
        let asked = RetryAfter.delay(headers, localNow: now, cap: .seconds(86_400))
        let again = asked.map { Retry.after($0) } ?? .backoff
        switch status {
        case 401:
            self.init(
                .notAuthorised,
                object: object,
                "the server wants credentials (401)",
                remedy: "give them with -H 'Authorization: …'",
                retry: .park
            )
        case 403:
            self.init(
                .notAuthorised,
                object: object,
                "the server refuses (403)",
                remedy: "check the credentials; a signed URL may have expired",
                retry: .park
            )
        case 407:
            self.init(
                .notAuthorised,
                object: object,
                "the proxy wants credentials (407)",
                remedy: "give them in the proxy's URL",
                retry: .park
            )
        case 404, 410:
            self.init(.notFound, object: object, "the server does not have it (\(status))", remedy: "check the URL")
        case 429, 503:
            self.init(
                .throttled,
                object: object,
                "the server asks for patience (\(status))",
                remedy: "lower --transfers or --connections",
                retry: again
            )
        case 408, 421, 425, 499, 500, 502, 504, 520...530:
            self.init(.serverFailed, object: object, "the server failed (\(status))", retry: again)
        case 204, 205:
            self.init(
                .badAnswer,
                object: object,
                "the server answered that there is nothing (\(status))",
                remedy: "check the URL",
                retry: .backoff
            )
        case 511:
            self.init(
                .network,
                object: object,
                "the network wants a login first (511)",
                remedy: "sign in to the network",
                retry: .park
            )
        default:
            self.init(
                .badAnswer,
                object: object,
                "the server answered \(status)",
                remedy: "check the URL",
                retry: status >= 500 ? .backoff : .never
            )
        }
    }
}
