import SluiceBytes
import SluicePipeline
import SluiceS3
import SluiceTransport

// What the pipeline makes of the errors of the layers that know no pipeline: one table for each.

extension SluiceError {
    /// A failure of the transport, S3 or a credential provider, told of `object`.
    package static func remote(_ error: any Error, object: String) -> any Error {
        switch error {
        case is CancellationError: error
        case let error as SluiceError: error.about(object)
        case let error as TransportError: SluiceError(error, object: object)
        case let error as S3Error: SluiceError(error, object: object)
        case let error as CredentialsError:
            SluiceError(.notAuthorised, object: object, error.message, remedy: error.remedy, retry: .park)
        default: SluiceError(.internalFault, object: object, "unexpected error", cause: String(describing: error))
        }
    }

    /// A failure below HTTP.
    package init(_ error: TransportError, object: String) {
        let (code, retry, remedy): (Code, Retry, String?) =
            switch error.code {
            case .unknownHost: (.unknownHost, .backoff, "check the host's name")
            case .resolverFailed, .connectFailed: (.network, .backoff, "check the network and the host")
            case .certificateRejected:
                (.certificate, .never, "check the host's name and clock, or give its authority with --ca-file")
            case .tlsFailed: (.network, .backoff, nil)
            case .tlsRefused:
                (.certificate, .never, "the server's TLS does not go together with ours, which is 1.2 or later")
            case .proxyUnauthorised: (.notAuthorised, .park, "give the proxy's credentials in its URL")
            case .proxyFailed: (.network, .backoff, "check the proxy's address and credentials")
            case .connectionLost, .stalled, .other: (.network, .backoff, nil)
            case .staleConnection: (.network, .immediately, nil)
            case .bodyTruncated: (.truncated, .backoff, nil)
            case .bodyTooLong: (.badAnswer, .backoff, "the server contradicts itself; try another mirror")
            case .protocolViolation: (.badAnswer, .backoff, "the server does not speak proper HTTP/1.1")
            case .forbiddenTarget: (.badAnswer, .never, "the server redirects to a place that Sluice does not go to")
            case .shutDown: (.interrupted, .backoff, nil)
            }
        // The transport names the URL it asked; that is worth a word only if a redirect led there.
        let message =
            error.message.hasPrefix("\(object): ")
            ? String(error.message.dropFirst(object.count + 2)) : error.message
        self.init(code, object: object, message, remedy: remedy, retry: retry)
    }

    /// An S3 server's word.
    package init(_ error: S3Error, object: String) {
        let wait = error.retryAfter.map { Retry.after($0) } ?? .backoff
        let (code, retry, remedy): (Code, Retry, String?) =
            switch error.kind {
            case .throttled: (.throttled, wait, "lower --transfers or --connections")
            case .temporary: (.serverFailed, wait, nil)
            case .badDigest: (.serverFailed, .backoff, nil)
            case .clockSkew: (.notAuthorised, .park, "set this machine's clock")
            case .expiredToken: (.notAuthorised, .park, "renew the credentials")
            case .wrongRegion(let region):
                (.notAuthorised, .never, region.map { "give --region \($0)" } ?? "give the bucket's --region")
            case .accessDenied: (.notAuthorised, .park, "check the credentials and the bucket's policy")
            case .noSuchKey: (.notFound, .never, nil)
            case .noSuchBucket: (.notFound, .never, "create the bucket first")
            case .noSuchUpload: (.serverFailed, .restart, nil)
            case .preconditionFailed: (.exists, .never, nil)
            case .conflict: (.serverFailed, .backoff, nil)
            case .entityTooSmall: (.unsupported, .never, "give a larger --part-size")
            case .quotaExceeded: (.noSpace, .park, "make room at the server")
            case .archived: (.unsupported, .park, "restore the object from the archive first")
            case .invalidRange: (.sourceChanged, .restart, nil)
            case .unconfirmed: (.unconfirmed, .backoff, nil)
            case .invalid where error.code == S3Error.codeName(status: 400):
                // A HEAD's 400 says no more, and this is the usual reason.
                (.badAnswer, .never, "if it is encrypted with a customer key, give --source-sse-c-key-file")
            case .invalid: (.badAnswer, .never, nil)
            case .unknown: (.serverFailed, error.status >= 500 ? wait : .never, nil)
            }
        let text = "\(error.message) (\(error.code)" + (error.status == 0 ? ")" : ", status \(error.status))")
        self.init(code, object: object, text, remedy: remedy, retry: retry)
    }
}

/// A body whose failures are the pipeline's errors.
package struct RemoteStream: ByteStream {
    private let inner: any ByteStream
    private let object: String

    package init(_ inner: any ByteStream, object: String) {
        self.inner = inner
        self.object = object
    }

    package func next() async throws -> Chunk? {
        do {
            return try await inner.next()
        } catch {
            throw SluiceError.remote(error, object: object)
        }
    }

    package func cancel() { inner.cancel() }
}
