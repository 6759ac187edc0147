import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// A hub's address, and requests to it within the limits that it tells.
///
/// Every request is sent once; who has a transfer to run or a listing to make tries again.
final class HubConnection: Sendable {
    let client: any HTTPClient
    let endpoint: HubEndpoint
    let retrying: Retrying
    let time: any TimeSource
    private let hint: String
    private let onWait: @Sendable (String) -> Void
    private let rates = Mutex(HubRates())

    /// - Parameters:
    ///   - hint: how the limits become higher, for who waits for them.
    ///   - onWait: told why nothing moves, when the hub's limits are used up for a while.
    init(
        endpoint: HubEndpoint,
        client: any HTTPClient,
        retrying: Retrying,
        time: any TimeSource,
        hint: String = "",
        onWait: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.endpoint = endpoint
        self.client = client
        self.retrying = retrying
        self.time = time
        self.hint = hint
        self.onWait = onWait
    }

    // MARK: - Requests

    func retry<R: Sendable>(_ object: String, _ body: () async throws -> R) async throws -> R {
        try await retrying.run(host: endpoint.origin, object: object, body)
    }

    /// Sends a request to the hub when its limits allow.
    func send(_ request: HTTPRequest, _ kind: HubRates.Kind) async throws -> HTTPResponse {
        while let wait = rates.withLock({ $0.admit(kind, now: time.now()) }) {
            if rates.withLock({ $0.isNews(wait, now: time.now()) }) {
                onWait("\(endpoint.origin): its limit of requests is used up for \(wait.components.seconds) s\(hint)")
            }
            try await time.sleep(for: wait)
        }
        do {
            let response = try await client.send(request)
            rates.withLock { $0.answered(kind, response.headers, now: time.now()) }
            return response
        } catch {
            rates.withLock { $0.lost(kind) }
            throw error
        }
    }

    /// An answer of the API, whole. Redirects within the hub are followed: a repository that was renamed answers with one.
    ///
    /// - Parameters:
    ///   - send: sends a request with what proves who asks.
    ///   - refusal: what an answer other than 200 means.
    func ask(
        _ first: HTTPRequest,
        _ object: String,
        limit: Int,
        send: (HTTPRequest) async throws -> HTTPResponse,
        refusal: (HTTPResponse) async -> SluiceError
    ) async throws -> (body: [UInt8], headers: HTTPHeaders) {
        var request = first
        var hops = 0
        while true {
            do {
                let response = try await send(request)
                if response.status == 200 { return (try await response.collect(limit: limit), response.headers) }
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
}
