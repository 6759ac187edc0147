import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// ModelScope as one user sees it: its address and the token.
package final class ModelScopeHub: Sendable {
    let connection: HubConnection
    /// Repositories that were listed for this user: the hub sometimes denies (403) what it allowed before.
    private let allowed = Mutex<Set<String>>([])

    /// Entries of a page; more than the hub's own client asks for was not tried.
    private static let pageSize = 200
    /// The largest file that may be in the repository itself, where no ranges are: beyond, it is most likely kept by Git
    /// LFS. A first answer tells; this is for who asks before.
    private static let small: UInt64 = 16 << 20

    package init(_ access: HubAccess) {
        connection = HubConnection(access, variable: "MODELSCOPE_ENDPOINT")
    }

    /// As a session cookie, which is what all of the hub understands, and as a bearer.
    private var headers: HTTPHeaders {
        var headers = connection.bearer
        headers["Cookie"] = connection.token.map { "m_session_id=\($0.exposed)" }
        return headers
    }

    /// What a pasted address names; nil if it is none of this hub's. `www.` in front changes nothing.
    package func place(of url: HTTPURL) -> ObjectKey? {
        var path = connection.endpoint.path(of: url)
        if path == nil, url.userinfo == nil, url.host == "www." + connection.endpoint.url.host,
            url.scheme == connection.endpoint.url.scheme, url.port == connection.endpoint.url.port
        {
            path = url.path
        }
        guard let path, let place = ModelScopePlace(urlPath: path, query: url.query) else { return nil }
        return ObjectKey(String(place.location.dropFirst("ms://".count)))
    }

    /// A page for people.
    func page(_ place: ModelScopePlace) -> String {
        "\(connection.endpoint.base)/\(place.kind.rawValue)/\(place.repository)"
    }

    private func api(
        _ place: ModelScopePlace,
        _ what: String,
        _ fields: [(String, String)]
    ) throws(SluiceError) -> HTTPURL {
        let query = fields.map { "\($0)=\(HubURL.component($1.utf8))" }.joined(separator: "&")
        let below = what.isEmpty ? "" : "/" + what
        return try connection.endpoint.address(
            "/api/v1/\(place.kind.rawValue)/\(place.repository)\(below)\(query.isEmpty ? "" : "?" + query)"
        )
    }

    // MARK: - Requests

    private func ask(_ url: HTTPURL, _ place: ModelScopePlace) async throws -> [UInt8] {
        try await connection.ask(
            HTTPRequest("GET", url),
            place.location,
            limit: ModelScopeTree.pageLimit,
            headers: headers,
            refusal: { await error($0, place) }
        )
        .body
    }

    /// One listing.
    func list(_ ask: ModelScopeWalk.Ask, of place: ModelScopePlace) async throws -> ModelScopePage {
        var fields = [("Revision", place.revision ?? ModelScopePlace.mainRevision)]
        fields.append(("Recursive", ask.isRecursive ? "True" : "False"))
        if !ask.root.bytes.isEmpty { fields.append(("Root", ask.root.text)) }
        if let page = ask.page { fields += [("PageNumber", "\(page)"), ("PageSize", "\(ModelScopeHub.pageSize)")] }
        let url = try api(place, place.kind == .model ? "repo/files" : "repo/tree", fields)
        let name = "\(place.kind.rawValue)/\(place.repository)"
        do {
            let body = try await self.ask(url, place)
            let page = try ModelScopeTree.page(body, place.location) { refused(200, $0, $1, place) }
            allowed.withLock { _ = $0.insert(name) }
            return page
        } catch var error as SluiceError where error.code == .notAuthorised {
            if allowed.withLock({ $0.contains(name) }) { (error.code, error.retry) = (.badAnswer, .backoff) }
            throw error
        }
    }

    /// The names of branches and tags.
    func revisions(_ place: ModelScopePlace) async throws -> [String] {
        let body = try await ask(try api(place, "revisions", []), place)
        return try ModelScopeTree.revisions(body, place.location) { refused(200, $0, $1, place) }
    }

    /// What the hub says of a repository.
    func about(_ place: ModelScopePlace) async throws -> (name: String?, identity: String?, about: [String: String]) {
        let body = try await ask(try api(place, "", []), place)
        return try ModelScopeTree.about(body, place.location) { refused(200, $0, $1, place) }
    }

    // MARK: - Refusals

    /// What a refusal means for `place`, in the hub's own words where it has some.
    func error(_ response: HTTPResponse, _ place: ModelScopePlace) async -> SluiceError {
        await connection.refusal(response) { words in
            if let refusal = ModelScopeTree.Refusal(words), response.status < 500, response.status != 429 {
                return refused(response.status, refusal.code, refusal.message, place)
            }
            var error = connection.plain(response, place.location)
            if error.code == .notAuthorised { error.remedy = remedy(place) }
            return error
        }
    }

    func refused(_ status: Int, _ code: Int64, _ message: String, _ place: ModelScopePlace) -> SluiceError {
        ModelScopeAnswer(
            status: status,
            code: code,
            message: message,
            place: place,
            page: page(place),
            hasToken: connection.hasToken
        )
        .error
    }

    private func remedy(_ place: ModelScopePlace) -> String {
        connection.hasToken
            ? "check the token, and ask for access at \(page(place))"
            : "set MODELSCOPE_API_TOKEN, and see \(page(place)) for conditions"
    }

    // MARK: - Files

    /// The file at a place: of what was listed, the content is known; else its directory is listed first.
    func object(_ place: ModelScopePlace) -> HubObject {
        HubObject(location: place.location, host: connection.endpoint.origin) { [self] in
            guard !place.path.bytes.isEmpty else {
                let remedy = "add the file's path; sluice ls \(place.location) shows what is there"
                throw HubAnswer.noFile(place.location, "repository", remedy)
            }
            let pinned = try await pinned(place)
            guard let content = pinned.content else {
                throw SluiceError(
                    .notFound,
                    object: place.location,
                    "the revision has no such file",
                    remedy: "see \(page(place)); a directory is copied with -r"
                )
            }
            return HubObject.File(
                size: content.size,
                published: [content.sha256],
                tag: content.sha256.hex,
                address: try address(of: pinned, content),
                supportsRanges: content.size > ModelScopeHub.small
            )
        }
    }

    /// The place of a file with its content; without one if the revision has no such file.
    private func pinned(_ place: ModelScopePlace) async throws -> ModelScopePlace {
        if place.content != nil { return place }
        guard case .file(let file)? = try await entry(place) else { return place }
        return place.at(file)
    }

    /// What a directory's listing has at a path; nil if it has nothing there.
    func entry(_ place: ModelScopePlace) async throws -> ModelScopeEntry? {
        let name = place.path.lastComponent.bytes.count
        let parent = ObjectKey(bytes: place.path.bytes.dropLast(min(name + 1, place.path.bytes.count)))
        var walk = ModelScopeWalk(object: place.location, hasPages: place.kind == .dataset) { ask in
            try await self.connection.retry(place.location) { try await self.list(ask, of: place) }
        }
        let entry = try await walk.level(parent).first { $0.path == place.path }
        if case .refused(_, let error)? = entry { throw error }
        return entry
    }

    private func address(
        of pinned: ModelScopePlace,
        _ content: ModelScopePlace.Content
    ) throws(SluiceError) -> HTTPObject {
        let revision = pinned.revision ?? ModelScopePlace.mainRevision
        let client = ModelScopeFileClient(hub: self, place: pinned, content: content)
        let url = try api(pinned, "repo", [("Revision", revision), ("FilePath", pinned.path.text)])
        return connection.object(url, pinned.location, headers: headers, client: client)
    }
}

extension ModelScopePlace {
    /// The place of a file that a listing has.
    func at(_ file: ModelScopeFile) -> ModelScopePlace {
        at(file.path, content: Content(sha256: file.sha256, size: file.size))
    }
}
