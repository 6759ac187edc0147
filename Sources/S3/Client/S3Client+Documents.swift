import SluiceBytes
import SluiceTransport

extension S3Client {
    /// The largest answer that is read as XML.
    private static let documentLimit = 8 << 20

    /// Sends `call` and reads its answer as the document `root`, or `other` where a server calls it so.
    func document(_ call: S3Call, root: String, other: String? = nil) async throws -> XMLElement {
        let response = try await perform(call)
        do {
            return try await read(response, call, root: root, other: other)
        } catch let failure as XMLFailure {
            throw self.failure(
                call,
                code: "SluiceBadAnswer",
                failure.description,
                kind: S3Client.kind(of: failure),
                status: response.status
            )
        }
    }

    /// Sends a request whose 200 is not yet success: the answer must be `root` with an ETag.
    ///
    /// - Throws: `S3Error` of kind `.unconfirmed` where the server may have committed and nobody knows: the answer
    ///   was lost, empty, cut or something else. Look at the object before anything else is done.
    func commit(_ call: S3Call, root: String) async throws -> XMLElement {
        let response: HTTPResponse
        do {
            response = try await perform(call)
        } catch let error as TransportError where S3Client.mayHaveArrived(error) {
            throw unconfirmed(call, error.description, status: 0)
        }
        let element: XMLElement
        do {
            element = try await read(response, call, root: root)
        } catch let failure as XMLFailure {
            throw unconfirmed(call, failure.description, status: response.status)
        } catch let error as TransportError {
            throw unconfirmed(call, error.description, status: response.status)
        }
        guard element.etag != nil else {
            throw unconfirmed(call, "the answer has no ETag", status: response.status)
        }
        return element
    }

    private func read(_ response: HTTPResponse, _ call: S3Call, root: String, other: String? = nil) async throws
        -> XMLElement
    {
        let bytes: [UInt8]
        do {
            bytes = try await response.collect(limit: S3Client.documentLimit)
        } catch let error as TransportError where error.code == .bodyTooLong {
            // No retry makes it shorter.
            throw XMLFailure.limit("more than \(S3Client.documentLimit) bytes")
        }
        let element = try XMLDocumentParser.parse(bytes)
        if element.name == "Error" {
            var error = S3Error(document: element, status: response.status, headers: response.headers)
            error.resource = call.resource
            throw error
        }
        guard element.name == root || element.name == other else {
            throw XMLFailure.unexpectedRoot(element.name, expected: root)
        }
        return element
    }

    private func unconfirmed(_ call: S3Call, _ why: String, status: Int) -> S3Error {
        failure(
            call,
            code: "SluiceUnconfirmed",
            "it is not known whether the server did it: \(why)",
            kind: .unconfirmed,
            status: status
        )
    }

    /// Whether the request may have reached the server although no answer came back.
    private static func mayHaveArrived(_ error: TransportError) -> Bool {
        switch error.code {
        case .connectionLost, .staleConnection, .bodyTruncated, .bodyTooLong, .stalled, .protocolViolation, .other:
            true
        case .unknownHost, .resolverFailed, .connectFailed, .certificateRejected, .tlsFailed, .tlsRefused,
            .proxyUnauthorised, .proxyFailed, .forbiddenTarget, .shutDown:
            false
        }
    }

    static func kind(of failure: XMLFailure) -> S3Error.Kind {
        switch failure {
        case .empty, .cut, .malformed: .temporary
        case .controlCharacter, .documentType, .limit, .unexpectedRoot, .invalid: .invalid
        }
    }

    /// Runs a reader of a document that is whole, and names the request in what it refuses.
    func reading<R>(_ call: S3Call, _ body: () throws -> R) throws -> R {
        do {
            return try body()
        } catch let failure as XMLFailure {
            throw self.failure(
                call,
                code: "SluiceBadAnswer",
                failure.description,
                kind: S3Client.kind(of: failure),
                status: 200
            )
        }
    }

    /// Sends `call` and lets go of its body.
    @discardableResult
    func acknowledged(_ call: S3Call) async throws -> HTTPResponse {
        let response = try await perform(call)
        // A short body is read, so that the connection can be used again; a long one is not wanted.
        do {
            _ = try await response.collect(limit: 64 << 10)
        } catch is TransportError {
            response.body.cancel()
        }
        return response
    }

    /// SSE-C sends the key itself: never without TLS, but to this very machine.
    func checkCustomerKey(_ key: S3CustomerKey?, _ call: S3Call) throws {
        guard key != nil, !endpoint.isTLS, !endpoint.isLoopback else { return }
        throw failure(
            call,
            code: "SluiceNeedsTLS",
            "a customer's encryption key is only sent over https",
            kind: .invalid
        )
    }
}
