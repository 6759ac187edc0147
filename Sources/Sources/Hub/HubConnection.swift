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
    let endpoint: HTTPURL
    let retrying: Retrying
    let time: any TimeSource
    private let hint: String
    private let onWait: @Sendable (String) -> Void
    private let rates = Mutex(HubRates())

    /// - Parameters:
    ///   - hint: how the limits become higher, for who waits for them.
    ///   - onWait: told why nothing moves, when the hub's limits are used up for a while.
    init(
        endpoint: HTTPURL,
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

    // MARK: - Addresses

    func isOwn(_ url: HTTPURL) -> Bool { RedirectPolicy.sameOrigin(url, endpoint) }

    /// The address without a `/` at its end.
    var base: String {
        var path = endpoint.path[...]
        while path.hasSuffix("/") { path = path.dropLast() }
        return endpoint.origin + path
    }

    /// What follows the hub's address in one of its own; nil for any other. A mirror may be below a path.
    func path(of url: HTTPURL) -> String? {
        let start = base.dropFirst(endpoint.origin.count)
        guard url.userinfo == nil, isOwn(url), url.path.hasPrefix(start) else { return nil }
        return String(url.path.dropFirst(start.count))
    }

    func url(_ path: String) throws(SluiceError) -> HTTPURL {
        guard let url = HTTPURL(base + path) else {
            throw SluiceError(.usage, object: "\(endpoint)", "no address can be made of \(Printable.text(path))")
        }
        return url
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
                guard let url = try next(response, from: request, hops: hops, object) else {
                    throw await refusal(response)
                }
                request.url = url
                hops += 1
            } catch {
                throw SluiceError.remote(error, object: object)
            }
        }
    }

    /// Where a redirect leads; nil if the answer is none.
    private func next(
        _ response: HTTPResponse,
        from request: HTTPRequest,
        hops: Int,
        _ object: String
    ) throws -> HTTPURL? {
        let decision = RedirectPolicy.decide(
            method: request.method,
            url: request.url,
            status: response.status,
            headers: response.headers,
            hops: hops
        )
        switch decision {
        case .final: return nil
        case .follow(let url, sameOrigin: true): return url
        case .follow(let url, sameOrigin: false):
            throw HubAnswer.bad(object, "the hub's API redirects to another origin, \(url.origin)")
        case .refuse(let reason): throw HubAnswer.bad(object, reason.rawValue)
        }
    }
}
