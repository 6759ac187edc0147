import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// A hub's address, requests to it within the limits that it tells, and answers that hold no secret.
///
/// Every request is sent once; who has a transfer to run or a listing to make tries again.
final class HubConnection: Sendable {
    let client: any HTTPClient
    let endpoint: HubEndpoint
    let token: Secret?
    let time: any TimeSource
    private let retrying: Retrying
    private let hint: String
    private let onWait: @Sendable (String) -> Void
    private let rates = Mutex(HubRates())
    private let secrets: HubSecrets
    private let ranges = RangeTrust()

    /// Of a refusal's body.
    private static let mostWords = 64 << 10

    /// - Parameters:
    ///   - variable: of the environment, which names the hub's address.
    ///   - hint: how the limits become higher, for who waits for them.
    init(_ access: HubAccess, variable: String, hint: String = "") {
        endpoint = HubEndpoint(url: access.endpoint, variable: variable)
        client = access.client
        token = access.token
        retrying = access.retrying
        time = access.time
        onWait = access.onWait
        secrets = HubSecrets(access.token)
        self.hint = hint
    }

    var hasToken: Bool { token != nil }

    /// What proves who asks, as most hubs take it.
    var bearer: HTTPHeaders { token.map { ["Authorization": "Bearer \($0.exposed)"] } ?? [:] }

    /// What the hub gave to prove who asks: its answers may not repeat it either.
    func conceal(_ secret: Secret) { secrets.add(secret) }

    // MARK: - Requests

    func retry<R: Sendable>(_ object: String, _ body: () async throws -> R) async throws -> R {
        try await retrying.run(host: endpoint.origin, object: object, body)
    }

    /// Sends a request to the hub when its limits allow.
    ///
    /// - Throws: also for an answer with a secret in its fields.
    func send(_ request: HTTPRequest, _ kind: HubRates.Kind) async throws -> HTTPResponse {
        while let wait = rates.withLock({ $0.admit(kind, now: time.now()) }) {
            if rates.withLock({ $0.isNews(wait, now: time.now()) }) {
                onWait("\(endpoint.origin): its limit of requests is used up for \(wait.components.seconds) s\(hint)")
            }
            try await time.sleep(for: wait)
        }
        let response: HTTPResponse
        do {
            response = try await client.send(request)
            rates.withLock { $0.answered(kind, response.headers, now: time.now()) }
        } catch {
            rates.withLock { $0.lost(kind) }
            throw error
        }
        if secrets.stand(in: response.headers) {
            response.body.cancel()
            throw repeated(response)
        }
        return response
    }

    /// An answer of the API, whole. Redirects within the hub are followed: a repository that was renamed answers with one.
    ///
    /// - Parameters:
    ///   - isSecret: whether the answer is a token itself, of which nobody else reads anything.
    ///   - send: sends a request with what proves who asks.
    ///   - refusal: what an answer other than 200 means.
    func ask(
        _ first: HTTPRequest,
        _ object: String,
        limit: Int,
        isSecret: Bool = false,
        send: (HTTPRequest) async throws -> HTTPResponse,
        refusal: (HTTPResponse) async -> SluiceError
    ) async throws -> (body: [UInt8], headers: HTTPHeaders) {
        var request = first
        var hops = 0
        while true {
            do {
                let response = try await send(request)
                if response.status == 200 {
                    let body = try await response.collect(limit: limit)
                    if !isSecret, secrets.stand(in: body) { throw repeated(response) }
                    return (body, response.headers)
                }
                defer { response.body.cancel() }
                guard let url = try endpoint.next(response, from: request, hops: hops, object) else {
                    throw await refusal(response)
                }
                request.url = url
                hops += 1
            } catch {
                throw SluiceError.remote(error, object: object)
            }
        }
    }

    /// The same, with fields that prove who asks.
    func ask(
        _ first: HTTPRequest,
        _ object: String,
        limit: Int,
        headers: HTTPHeaders,
        refusal: (HTTPResponse) async -> SluiceError
    ) async throws -> (body: [UInt8], headers: HTTPHeaders) {
        try await ask(
            first,
            object,
            limit: limit,
            send: { request in
                var request = request
                for field in headers { request.headers[field.name] = field.value }
                return try await send(request, .api)
            },
            refusal: refusal
        )
    }

    /// Where the bytes of a file are asked for.
    ///
    /// - Parameter client: sends the requests on the way to them.
    func object(_ url: HTTPURL, _ location: String, headers: HTTPHeaders, client: any HTTPClient) -> HTTPObject {
        HTTPObject(
            url: url,
            headers: headers,
            client: client,
            location: location,
            ranges: ranges,
            now: { [time] in time.wallSeconds() }
        )
    }

    // MARK: - Refusals

    /// What a refusal means by its words, which are its body's first bytes.
    func refusal(_ response: HTTPResponse, _ meaning: ([UInt8]) -> SluiceError) async -> SluiceError {
        let words = (try? await response.collect(limit: HubConnection.mostWords)) ?? []
        response.body.cancel()
        return secrets.stand(in: words) ? repeated(response) : meaning(words)
    }

    /// What the status alone means.
    func plain(_ response: HTTPResponse, _ object: String) -> SluiceError {
        SluiceError(
            httpStatus: response.status,
            headers: response.headers,
            object: object,
            now: time.wallSeconds()
        )
    }

    private func repeated(_ response: HTTPResponse) -> SluiceError {
        var error = SluiceError(.badAnswer, object: endpoint.origin, "")
        if response.status >= 400 {
            let plain = plain(response, endpoint.origin)
            (error.code, error.retry) = (plain.code, plain.retry)
        }
        error.message = "the hub's answer (\(response.status)) repeats the token that it was sent: it is not read"
        error.remedy = "renew the token, and tell who runs the hub; \(endpoint.variable) names another one"
        return error
    }
}
