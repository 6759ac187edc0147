import SluiceBytes
import SluicePipeline
import SluiceTransport

/// A Hugging Face hub as one user sees it: its address, the token, its rate limits, and the files that are known.
///
/// Every request is sent once; who has a transfer to run or a listing to make tries again.
package final class HuggingFaceHub: Sendable {
    let connection: HubConnection
    let shortcut = HuggingFaceShortcut()
    private let files: HuggingFaceFiles

    package init(_ access: HubAccess) {
        connection = HubConnection(
            access,
            variable: "HF_ENDPOINT",
            hint: access.token == nil ? "; with a token (HF_TOKEN) it is higher" : ""
        )
        files = HuggingFaceFiles(time: access.time)
    }

    var endpoint: HTTPURL { connection.endpoint.url }

    // MARK: - Addresses

    /// What follows the hub's address in one of its own; nil for any other. A mirror may be below a path.
    package func path(of url: HTTPURL) -> String? { connection.endpoint.path(of: url) }

    /// A page for people.
    func page(_ place: HuggingFacePlace) -> String {
        "\(connection.endpoint.base)/\(place.kind.prefix)\(place.repository)"
    }

    /// An address of the API: `what` of the revision, and of the path where one is given.
    func api(_ what: String, _ place: HuggingFacePlace, path: ObjectKey? = nil, query: String = "")
        throws(SluiceError) -> HTTPURL
    {
        let revision = HubURL.component((place.revision ?? "main").utf8)
        let below = path.map { $0.bytes.isEmpty ? "" : "/" + HubURL.component($0.bytes) } ?? ""
        let repository = "/api/\(place.kind.rawValue)/\(place.repository)"
        return try connection.endpoint.address("\(repository)/\(what)/\(revision)\(below)\(query)")
    }

    /// Where the bytes of a file are asked for.
    func address(of file: HuggingFaceFile, at pinned: HuggingFacePlace) throws(SluiceError) -> HTTPObject {
        let revision = HubURL.component((pinned.revision ?? "main").utf8)
        let path = "/\(pinned.kind.prefix)\(pinned.repository)/resolve/\(revision)/\(HubURL.path(file.path.bytes))"
        let cache = "/api/resolve-cache/\(pinned.kind.rawValue)/\(pinned.repository)/\(revision)/"
        let client = HuggingFaceFileClient(
            hub: self,
            place: pinned,
            file: file,
            cache: file.sha256 == nil ? try connection.endpoint.address(cache + HubURL.path(file.path.bytes)) : nil
        )
        let url = try connection.endpoint.address(path)
        return connection.object(url, pinned.location, headers: connection.bearer, client: client)
    }

    // MARK: - Requests

    /// An answer of the API.
    ///
    /// - Throws: what the hub's refusal means for `place`.
    func ask(_ first: HTTPRequest, _ place: HuggingFacePlace) async throws -> (body: [UInt8], headers: HTTPHeaders) {
        try await connection.ask(
            first,
            place.location,
            limit: HuggingFaceTree.pageLimit,
            headers: connection.bearer,
            refusal: { error($0, place) }
        )
    }

    /// What a refusal of the hub means for `place`.
    func error(_ response: HTTPResponse, _ place: HuggingFacePlace) -> SluiceError {
        HuggingFaceAnswer(
            status: response.status,
            headers: response.headers,
            place: place,
            page: page(place),
            hasToken: connection.hasToken,
            now: connection.time.wallSeconds()
        )
        .error
    }

    /// Pages of one listing; a thousand entries each.
    static let mostPages = 10_000

    /// The address of a listing's next page. The token goes along: only to the hub itself.
    func nextPage(_ headers: HTTPHeaders, _ pinned: HuggingFacePlace) throws -> HTTPURL? {
        guard let text = headers["Link"].flatMap({ LinkField.next($0) }) else { return nil }
        guard let url = HTTPURL(text), connection.endpoint.isOwn(url), url.userinfo == nil else {
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

extension HuggingFaceHub {
    /// The file at a place; of a branch's, the commit is found when it is opened. Every answer on the way to its bytes has
    /// to be of that commit and of that file.
    func object(_ place: HuggingFacePlace) -> HubObject {
        HubObject(location: place.location, host: endpoint.origin) { [self] in
            guard !place.path.bytes.isEmpty else {
                let remedy = "add the file's path; sluice ls \(place.location) shows what is there"
                throw HubAnswer.noFile(place.location, "repository", remedy)
            }
            let pinned = place.at(try await commit(place), path: place.path)
            guard let file = try await file(pinned) else {
                throw SluiceError(
                    .notFound,
                    object: place.location,
                    "the commit \(pinned.revision ?? "") has no such file",
                    remedy: "see \(page(place)); a directory is copied with -r"
                )
            }
            return HubObject.File(
                size: file.size,
                published: [file.published],
                tag: file.tag,
                address: try address(of: file, at: pinned)
            )
        }
    }
}
