import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// CivitAI as one user sees it: its address, the token, and the versions that were asked for lately.
///
/// Every request is sent once; who has a transfer to run or a listing to make tries again.
package final class CivitAIHub: Sendable {
    /// A version, and what the hub answered.
    struct Answer: Sendable {
        let version: CivitAIVersion
        let page: [UInt8]
        let at: Duration
    }

    let client: any HTTPClient
    let endpoint: HubEndpoint
    let retrying: Retrying
    private let token: Secret?
    private let time: any TimeSource
    private let versions = Mutex<[UInt64: Answer]>([:])
    private let sizes = Mutex<[String: UInt64]>([:])
    private let ranges = RangeTrust()

    /// As long as the hub's own caches keep one.
    private static let fresh: Duration = .seconds(300)
    /// Versions, and sizes of files, that are kept; beyond, all are forgotten and found out anew.
    private static let most = 4_096
    /// Of the API's answers: a model with all its versions and pictures takes a few megabytes.
    private static let answerLimit = 32 << 20

    /// - Parameters:
    ///   - endpoint: `https://civitai.com` or a mirror.
    ///   - token: sent to that origin and to no other.
    package init(
        endpoint: HTTPURL,
        token: Secret?,
        client: any HTTPClient,
        retrying: Retrying,
        time: any TimeSource
    ) {
        self.endpoint = HubEndpoint(url: endpoint, variable: CivitAISettings.endpointVariable)
        self.token = token
        self.client = client
        self.retrying = retrying
        self.time = time
    }

    var hasToken: Bool { token != nil }

    private var headers: HTTPHeaders {
        guard let token else { return [:] }
        return ["Authorization": "Bearer \(token.exposed)"]
    }

    // MARK: - Addresses

    /// What follows the hub's address in one of its own, or of its other sites, which share all ids.
    func path(of url: HTTPURL) -> String? {
        if let path = endpoint.path(of: url) { return path }
        guard endpoint.origin == CivitAISettings.home, url.userinfo == nil, CivitAISettings.sites.contains(url.origin)
        else { return nil }
        return url.path
    }

    /// A page for people.
    func page(_ place: CivitAIPlace) -> String {
        guard let model = place.model else { return "\(endpoint.base)/model-versions/\(place.version ?? 0)" }
        return "\(endpoint.base)/models/\(model)" + (place.version.map { "?modelVersionId=\($0)" } ?? "")
    }

    /// Where the bytes of a file are asked for: by its id, since without it the account's preferences choose.
    func address(of file: CivitAIFile, at pinned: CivitAIPlace) throws(SluiceError) -> HTTPObject {
        HTTPObject(
            url: try endpoint.address("/api/download/models/\(pinned.version ?? 0)?fileId=\(file.id)"),
            headers: headers,
            client: CivitAIFileClient(hub: self, place: pinned, file: file),
            location: pinned.location,
            ranges: ranges,
            now: { [time] in time.wallSeconds() }
        )
    }

    // MARK: - Requests

    /// An answer of the API, which is JSON. Redirects within the hub are followed.
    ///
    /// - Throws: what the hub's refusal means for `place`.
    private func ask(_ path: String, _ place: CivitAIPlace) async throws -> [UInt8] {
        var request = HTTPRequest("GET", try endpoint.address(path))
        var hops = 0
        do {
            while true {
                for field in headers { request.headers[field.name] = field.value }
                let response = try await client.send(request)
                if response.status == 200 { return try await json(response, place) }
                guard let next = try await next(response, request, hops, place) else {
                    throw await error(response, place)
                }
                request.url = next
                hops += 1
            }
        } catch {
            throw SluiceError.remote(error, object: place.location)
        }
    }

    private func json(_ response: HTTPResponse, _ place: CivitAIPlace) async throws -> [UInt8] {
        let body = try await response.collect(limit: CivitAIHub.answerLimit)
        if CivitAIAnswer.isPage(body, response.headers) {
            throw CivitAIAnswer.pageInstead(place.location, of: "the API's answer", hasToken: hasToken)
        }
        return body
    }

    private func next(
        _ response: HTTPResponse,
        _ request: HTTPRequest,
        _ hops: Int,
        _ place: CivitAIPlace
    ) async throws -> HTTPURL? {
        do {
            guard let next = try endpoint.next(response, from: request, hops: hops, place.location) else { return nil }
            response.body.cancel()
            return next
        } catch {
            response.body.cancel()
            throw error
        }
    }

    /// What a refusal of the hub means for `place`; reads its body.
    func error(_ response: HTTPResponse, _ place: CivitAIPlace) async -> SluiceError {
        let body = (try? await response.collect(limit: CivitAIAnswer.bodyLimit)) ?? []
        response.body.cancel()
        return CivitAIAnswer(
            status: response.status,
            headers: response.headers,
            body: withoutToken(body),
            location: place.location,
            page: page(place),
            hasToken: hasToken,
            now: time.wallSeconds()
        )
        .error
    }

    /// A server may repeat what it was sent.
    private func withoutToken(_ body: [UInt8]) -> [UInt8] {
        guard let token else { return body }
        let secret = Array(token.exposed.utf8)
        return body.indices.contains { body[$0...].starts(with: secret) } ? [] : body
    }

    // MARK: - Versions

    /// A version that was asked for within the last minutes, or by asking now.
    ///
    /// - Parameter isNew: asks in any case.
    /// - Throws: what stands against its files, too.
    func version(_ place: CivitAIPlace, isNew: Bool = false) async throws -> Answer {
        let asked = try await number(place)
        let known = isNew ? nil : versions.withLock { $0[asked] }
        let isWanted = known.map { place.state == nil || place.state == $0.version.state } ?? false
        if let known, isWanted, time.now() - known.at < CivitAIHub.fresh {
            if let refusal = known.version.refusal(place, page: page(place)) { throw refusal }
            return known
        }
        let page = try await ask("/api/v1/model-versions/\(asked)", place)
        let version = try read(place) { () throws(StructureStop) in try CivitAIVersion(page) }
        guard version.id == asked else {
            throw endpoint.bad(place.location, "version \(asked) was asked for, the answer is version \(version.id)")
        }
        let answer = Answer(version: version, page: page, at: time.now())
        versions.withLock { versions in
            if versions.count >= CivitAIHub.most { versions = [:] }
            versions[asked] = answer
        }
        if let refusal = version.refusal(place, page: self.page(place)) { throw refusal }
        return answer
    }

    /// The version's number: of a model without one, that of the newest that is published.
    private func number(_ place: CivitAIPlace) async throws -> UInt64 {
        if let version = place.version { return version }
        let asked = place.model ?? 0
        let body = try await ask("/api/v1/models/\(asked)", place)
        let model = try read(place) { () throws(StructureStop) in try CivitAIModel(body) }
        guard model.id == asked else {
            throw endpoint.bad(place.location, "model \(asked) was asked for, the answer is model \(model.id)")
        }
        if let newest = model.versions.first { return newest }
        if model.mode == "Archived" { throw CivitAIAnswer.archived(place.location, page(place)) }
        throw SluiceError(
            .notFound,
            object: place.location,
            "no version of the model is published",
            remedy: "see \(page(place))"
        )
    }

    private func read<R>(_ place: CivitAIPlace, _ read: () throws(StructureStop) -> R) throws(SluiceError) -> R {
        do {
            return try read()
        } catch {
            throw endpoint.bad(place.location, "the API's answer is not understood", error.finding.reason)
        }
    }

    // MARK: - Sizes

    private func name(_ file: CivitAIFile) -> String { "\(file.id) \(file.published)" }

    /// The exact size of a file whose digest is known, once its storage has told it.
    func size(of file: CivitAIFile) -> UInt64? {
        file.published.isEmpty ? nil : sizes.withLock { $0[name(file)] }
    }

    func remember(_ size: UInt64, of file: CivitAIFile) {
        sizes.withLock { sizes in
            if sizes.count >= CivitAIHub.most { sizes = [:] }
            sizes[name(file)] = size
        }
    }
}

/// What the environment says of CivitAI.
package enum CivitAISettings {
    package static let endpointVariable = "CIVITAI_ENDPOINT"
    static let home = "https://civitai.com"
    /// Sites with the same ids.
    static let sites: Set<String> = [
        home, "https://www.civitai.com", "https://civitai.green", "https://www.civitai.green", "https://civitai.red",
        "https://www.civitai.red",
    ]

    /// `CIVITAI_ENDPOINT`, or civitai.com.
    package static func endpoint(_ environment: [String: String]) -> String {
        environment[endpointVariable].flatMap { $0.isEmpty ? nil : $0 } ?? home
    }

    /// `CIVITAI_TOKEN`, `CIVITAI_API_TOKEN`: an API key of the user's account.
    package static func token(_ environment: [String: String]) -> Secret? {
        HubToken.first(of: ["CIVITAI_TOKEN", "CIVITAI_API_TOKEN"], in: environment)
    }
}
