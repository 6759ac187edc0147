import SluiceBytes
import SluiceTransport

extension S3Client {
    /// What was tried a second time already: each at most once per call.
    private struct SecondTries {
        var connection = false
        var region = false
        var clock = false
        var credentials = false
    }

    /// Sends `call` and gives its 2xx answer; anything else is thrown after at most one second try per cause.
    func perform(_ call: S3Call) async throws -> HTTPResponse {
        var tries = SecondTries()
        while true {
            let attempt = try await attempt(call)
            let response: HTTPResponse
            do {
                response = try await http.send(attempt.request)
            } catch let error as TransportError
                where error.code == .staleConnection && call.isIdempotent && !tries.connection
            {
                tries.connection = true
                continue
            }
            if (200..<300).contains(response.status) { return response }
            let error = await S3Error(response, of: call, now: now)
            if try await learn(from: error, response, attempt, call, &tries) { continue }
            throw error
        }
    }

    /// Whether the answer taught something that makes a second attempt worth it.
    private func learn(
        from error: S3Error,
        _ response: HTTPResponse,
        _ attempt: Attempt,
        _ call: S3Call,
        _ tries: inout SecondTries
    ) async throws -> Bool {
        if !tries.clock, let offset = clockOffset(error, response, attempt, call) {
            tries.clock = true
            state.learn(clockOffset: offset)
            return true
        }
        if !tries.region, let bucket = call.bucket, isAboutRegion(error, call) {
            tries.region = true
            if let region = try await regionAfter(error, call, bucket), region != attempt.region {
                state.learn(region: region, of: bucket)
                return true
            }
        }
        if !tries.credentials, let used = attempt.credentials, isAboutSession(error, call, used) {
            tries.credentials = true
            let fresh = try await credentials.refreshed(after: used, now: now)
            return fresh != used
        }
        return false
    }

    /// Seconds to add to our clock, if the answer says that it is wrong. A HEAD answer has no code, only a date.
    private func clockOffset(
        _ error: S3Error,
        _ response: HTTPResponse,
        _ attempt: Attempt,
        _ call: S3Call
    ) -> Int64? {
        let header = response.headers["Date"].flatMap { Timestamp(httpDate: $0) }
        let server: Timestamp?
        if case .clockSkew(let date) = error.kind {
            server = header ?? date
        } else if call.method == "HEAD", response.status == 403, let header,
            abs(header.epochSeconds - attempt.date.epochSeconds) > 5 * 60
        {
            server = header
        } else {
            server = nil
        }
        // Both are dates of four-digit years or our own clock: the difference fits.
        return server.map { $0.epochSeconds - clock().epochSeconds }
    }

    private func isAboutRegion(_ error: S3Error, _ call: S3Call) -> Bool {
        if case .wrongRegion = error.kind { return true }
        // A HEAD error has no body: 400 may be a malformed authorisation header, and the region is in a header.
        return call.method == "HEAD" && error.status == 400 && (error.region != nil || endpoint.isAmazon)
    }

    private func regionAfter(_ error: S3Error, _ call: S3Call, _ bucket: String) async throws -> String? {
        if let region = error.region { return region }
        if call.method == "HEAD", call.key == nil { return nil }
        do {
            return try await headBucket(bucket).region
        } catch let error as S3Error {
            return error.region
        }
    }

    private func isAboutSession(_ error: S3Error, _ call: S3Call, _ used: S3Credentials) -> Bool {
        if error.kind == .expiredToken { return true }
        return call.method == "HEAD" && error.status == 400 && used.sessionToken != nil
    }
}

extension S3Error {
    /// Longest error document that is read.
    private static let bodyLimit = 64 << 10

    /// The error of an answer that is not 2xx. The body's code beats the status; without one the status speaks.
    init(_ response: HTTPResponse, of call: S3Call, now: Timestamp) async {
        let headers = response.headers
        var document: XMLElement?
        if call.method != "HEAD" {
            do {
                let root = try XMLDocumentParser.parse(try await response.collect(limit: S3Error.bodyLimit))
                document = root.name == "Error" ? root : root["Error"] ?? root["Errors"]?["Error"]
            } catch {
                // A proxy's page, a cut body, an empty one: the status is all there is.
                document = nil
            }
        }
        response.body.cancel()
        self.init(
            document: document,
            status: response.status,
            headers: headers
        )
        resource = call.resource
        retryAfter = RetryAfter.delay(headers, localNow: now.epochSeconds)
    }

    /// The error of an `<Error>` document, whatever the status it came with.
    init(document: XMLElement?, status: Int, headers: HTTPHeaders) {
        let named = headers["x-amz-bucket-region"] ?? document?.text(of: "Region")
        let region = named.flatMap { S3Endpoint.isRegion($0) ? $0 : nil }
        let date = document?.text(of: "ServerTime").flatMap { Timestamp(iso8601: $0) }
        self.init(
            code: document?.text(of: "Code").map(S3Error.bounded) ?? S3Error.codeName(status: status),
            status: status,
            message: document?.text(of: "Message").map(S3Error.bounded) ?? "the server answered \(status)",
            serverDate: headers["Date"].flatMap { Timestamp(httpDate: $0) } ?? date,
            region: region
        )
        requestID = (document?.text(of: "RequestId") ?? headers["x-amz-request-id"]).map(S3Error.bounded)
    }

    /// A server's text for our messages: short, and nothing that moves a terminal's cursor.
    private static func bounded(_ text: String) -> String {
        String(S3Key(text.prefix(300)).description)
    }
}
