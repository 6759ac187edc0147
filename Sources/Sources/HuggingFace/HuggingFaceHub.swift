import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceTransport
import Synchronization

/// A Hugging Face hub as one user sees it: its address, the token, its rate limits, and the files that are known.
///
/// Every request is sent once; who has a transfer to run or a listing to make tries again.
package final class HuggingFaceHub: Sendable {
    let client: any HTTPClient
    let endpoint: HubEndpoint
    let retrying: Retrying
    let time: any TimeSource
    let shortcut = HuggingFaceShortcut()
    private let token: Secret?
    private let onWait: @Sendable (String) -> Void
    private let rates = Mutex(HubRates())
    private let files: HuggingFaceFiles
    private let ranges = RangeTrust()

    /// - Parameters:
    ///   - endpoint: `https://huggingface.co` or a mirror.
    ///   - token: sent to that origin and to no other.
    ///   - onWait: told why nothing moves, when the hub's limits are used up for a while.
    package init(
        endpoint: HTTPURL,
        token: Secret?,
        client: any HTTPClient,
        retrying: Retrying,
        time: any TimeSource,
        onWait: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.endpoint = HubEndpoint(url: endpoint, variable: "HF_ENDPOINT")
        self.token = token
        self.client = client
        self.retrying = retrying
        self.time = time
        self.onWait = onWait
        files = HuggingFaceFiles(time: time)
    }

    private var headers: HTTPHeaders {
        guard let token else { return [:] }
        return ["Authorization": "Bearer \(token.exposed)"]
    }

    // MARK: - Addresses

    /// A page for people.
    func page(_ place: HuggingFacePlace) -> String { "\(endpoint.base)/\(place.kind.prefix)\(place.repository)" }

    /// An address of the API: `what` of the revision, and of the path where one is given.
    func api(_ what: String, _ place: HuggingFacePlace, path: ObjectKey? = nil, query: String = "")
        throws(SluiceError) -> HTTPURL
    {
        let revision = HubURL.component((place.revision ?? "main").utf8)
        let below = path.map { $0.bytes.isEmpty ? "" : "/" + HubURL.component($0.bytes) } ?? ""
        let repository = "\(place.kind.rawValue)/\(place.repository)"
        return try endpoint.address("/api/\(repository)/\(what)/\(revision)\(below)\(query)")
    }

    /// Where the bytes of a file are asked for.
    func address(of file: HuggingFaceFile, at pinned: HuggingFacePlace) throws(SluiceError) -> HTTPObject {
        let revision = HubURL.component((pinned.revision ?? "main").utf8)
        let path = "/\(pinned.kind.prefix)\(pinned.repository)/resolve/\(revision)/\(HubURL.path(file.path.bytes))"
        let cache = "/api/resolve-cache/\(pinned.kind.rawValue)/\(pinned.repository)/\(revision)/"
        return HTTPObject(
            url: try endpoint.address(path),
            headers: headers,
            client: HuggingFaceFileClient(
                hub: self,
                place: pinned,
                file: file,
                cache: file.sha256 == nil ? try endpoint.address(cache + HubURL.path(file.path.bytes)) : nil
            ),
            location: pinned.location,
            ranges: ranges,
            now: { [time] in time.wallSeconds() }
        )
    }

    // MARK: - Requests

    /// Sends a request to the hub when its limits allow.
    func send(_ request: HTTPRequest, _ kind: HubRates.Kind) async throws -> HTTPResponse {
        while let wait = rates.withLock({ $0.admit(kind, now: time.now()) }) {
            if rates.withLock({ $0.isNews(wait, now: time.now()) }) {
                let more = token == nil ? "; with a token (HF_TOKEN) it is higher" : ""
                onWait("\(endpoint.origin): its limit of requests is used up for \(wait.components.seconds) s\(more)")
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

    /// An answer of the API. Redirects within the hub are followed: a repository that was renamed answers with one.
    ///
    /// - Throws: what the hub's refusal means for `place`.
    func ask(_ first: HTTPRequest, _ place: HuggingFacePlace) async throws -> (body: [UInt8], headers: HTTPHeaders) {
        var request = first
        var hops = 0
        while true {
            for field in headers { request.headers[field.name] = field.value }
            do {
                let response = try await send(request, .api)
                if response.status == 200 {
                    return (try await response.collect(limit: HuggingFaceTree.pageLimit), response.headers)
                }
                response.body.cancel()
                guard let next = try endpoint.next(response, from: request, hops: hops, place.location) else {
                    throw error(response, place)
                }
                request.url = next
                hops += 1
            } catch {
                throw SluiceError.remote(error, object: place.location)
            }
        }
    }

    /// What a refusal of the hub means for `place`.
    func error(_ response: HTTPResponse, _ place: HuggingFacePlace) -> SluiceError {
        HuggingFaceAnswer(
            status: response.status,
            headers: response.headers,
            place: place,
            page: page(place),
            hasToken: token != nil,
            now: time.wallSeconds()
        )
        .error
    }

    /// Pages of one listing; a thousand entries each.
    static let mostPages = 10_000

    /// The address of a listing's next page. The token goes along: only to the hub itself.
    func nextPage(_ headers: HTTPHeaders, _ pinned: HuggingFacePlace) throws -> HTTPURL? {
        guard let text = headers["Link"].flatMap({ LinkField.next($0) }) else { return nil }
        guard let url = HTTPURL(text), endpoint.isOwn(url), url.userinfo == nil else {
            var error = HuggingFaceTree.bad(
                pinned.location,
                "the next page of the listing is at another place, \(Redact.location(text))"
            )
            error.retry = .never
            throw error
        }
        return url
    }

    // MARK: - Commits and files

    /// The commit that a revision is now.
    func commit(_ place: HuggingFacePlace) async throws -> String {
        if let revision = place.revision, place.isPinned { return revision }
        // Without `expand` a large repository's answer lists all its files.
        let (body, _) = try await ask(HTTPRequest("GET", try api("revision", place, query: "?expand=sha")), place)
        return try HuggingFaceTree.commit(body, place.location)
    }

    func remember(_ found: [HuggingFaceFile], at pinned: HuggingFacePlace) { files.remember(found, at: pinned) }

    /// A file at a commit: from what was listed, or by asking, together with others that are wanted now.
    ///
    /// - Returns: nil if the commit has no such file.
    func file(_ pinned: HuggingFacePlace) async throws -> HuggingFaceFile? {
        if let known = files.known(pinned) { return known }
        let entry = try await files.look(pinned) { [self] paths in
            var request = HTTPRequest("POST", try api("paths-info", pinned))
            request.headers["Content-Type"] = "application/x-www-form-urlencoded"
            let fields = paths.map { "paths=\(HubURL.component($0.bytes))&" }.joined() + "expand=False"
            request.body = .bytes(Array(fields.utf8))
            let (body, _) = try await ask(request, pinned)
            return try HuggingFaceTree.entries(body, pinned.at(pinned.revision ?? "main", path: ObjectKey("")).location)
        }
        switch entry {
        case .file(let file): return file
        case .refused(_, let error): throw error
        case .directory, nil: return nil
        }
    }
}
