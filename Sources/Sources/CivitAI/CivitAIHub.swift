import SluiceBytes
import SluicePipeline
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

    let connection: HubConnection
    private let versions = Mutex<[UInt64: Answer]>([:])
    private let sizes = Mutex<[String: UInt64]>([:])

    /// As long as the hub's own caches keep one.
    private static let fresh: Duration = .seconds(300)
    /// Versions, and sizes of files, that are kept; beyond, all are forgotten and found out anew.
    private static let most = 4_096
    /// Of the API's answers: a model with all its versions and pictures takes a few megabytes.
    private static let answerLimit = 32 << 20

    package init(_ access: HubAccess) {
        connection = HubConnection(access, variable: CivitAISettings.endpointVariable)
    }

    var endpoint: HubEndpoint { connection.endpoint }

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
    private func address(of file: CivitAIFile, at pinned: CivitAIPlace) throws(SluiceError) -> HTTPObject {
        let url = try endpoint.address("/api/download/models/\(pinned.version ?? 0)?fileId=\(file.id)")
        let client = CivitAIFileClient(hub: self, place: pinned, file: file)
        return connection.object(url, pinned.location, headers: connection.bearer, client: client)
    }

    // MARK: - Requests

    /// An answer of the API, which is JSON. Redirects within the hub are followed.
    ///
    /// - Throws: what the hub's refusal means for `place`.
    private func ask(_ path: String, _ place: CivitAIPlace) async throws -> [UInt8] {
        let (body, headers) = try await connection.ask(
            HTTPRequest("GET", try endpoint.address(path)),
            place.location,
            limit: CivitAIHub.answerLimit,
            headers: connection.bearer,
            refusal: { await error($0, place) }
        )
        if CivitAIAnswer.isPage(body, headers) { throw pageInstead(of: "the API's answer", place) }
        return body
    }

    func pageInstead(of what: String, _ place: CivitAIPlace) -> SluiceError {
        CivitAIAnswer.pageInstead(place.location, of: what, hasToken: connection.hasToken)
    }

    /// What a refusal of the hub means for `place`; reads its body.
    func error(_ response: HTTPResponse, _ place: CivitAIPlace) async -> SluiceError {
        await connection.refusal(response) { words in
            CivitAIAnswer(
                status: response.status,
                headers: response.headers,
                body: words,
                location: place.location,
                page: page(place),
                hasToken: connection.hasToken,
                now: connection.time.wallSeconds()
            )
            .error
        }
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
        if let known, isWanted, connection.time.now() - known.at < CivitAIHub.fresh {
            if let refusal = known.version.refusal(place, page: page(place)) { throw refusal }
            return known
        }
        let page = try await ask("/api/v1/model-versions/\(asked)", place)
        let version = try read(place) { () throws(StructureStop) in try CivitAIVersion(page) }
        guard version.id == asked else {
            throw endpoint.bad(place.location, "version \(asked) was asked for, the answer is version \(version.id)")
        }
        let answer = Answer(version: version, page: page, at: connection.time.now())
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

    private func remember(_ size: UInt64, of file: CivitAIFile) {
        sizes.withLock { sizes in
            if sizes.count >= CivitAIHub.most { sizes = [:] }
            sizes[name(file)] = size
        }
    }
}

extension CivitAIHub {
    /// The one file at a place: its digest comes from the API, its size and its bytes from the storage that the
    /// download's address leads to.
    func object(_ place: CivitAIPlace) -> HubObject {
        HubObject(location: place.location, host: endpoint.origin) { [self] in
            let version = try await version(place).version
            let files = try version.files(place, page: page(place))
            guard files.count == 1, let (path, file) = files.first, place.names(path) else {
                throw SluiceError(
                    .usage,
                    object: place.location,
                    "it names \(files.count) files, not one",
                    remedy: "sluice ls \(place.location) shows them"
                )
            }
            let pinned = place.at(version, .file(file.id, name: place.storedName ?? path.lastComponent))
            return HubObject.File(
                size: size(of: file),
                published: file.published,
                tag: file.published.first?.hex,
                address: try address(of: file, at: pinned),
                isServersWord: true,
                answered: { [self] size in try take(size, of: file, place) },
                checking: { [self] stream in checkingBegin(stream, of: file, place) }
            )
        }
    }

    /// The hub's size is rounded, and now and then that of other bytes: a digest settles it. Without one it is all that
    /// tells a whole file from a part of one, to within what the rounding makes.
    private func take(_ size: UInt64?, of file: CivitAIFile, _ place: CivitAIPlace) throws {
        guard let size else { return }
        if !file.published.isEmpty { return remember(size, of: file) }
        guard let hint = file.sizeHint, abs(Double(size) - hint) > 16 else { return }
        throw SluiceError(
            .badAnswer,
            object: place.location,
            "the storage has \(size) bytes for it, the API tells about \(UInt64(hint)), and no digest that would decide",
            remedy: "try again later: digests come with the hub's scan of a new file",
            retry: .backoff
        )
    }

    /// A page under a file's type is a page.
    private func checkingBegin(
        _ stream: any ByteStream,
        of file: CivitAIFile,
        _ place: CivitAIPlace
    ) -> any ByteStream {
        let ending = ObjectKey(file.name).ending.flatMap { BeginCheck.modelEndings.contains($0) ? $0 : nil }
        return BeginCheck(stream) { [self] begin in
            guard BeginCheck.page(begin, ending: ending ?? "bin") != nil else { return }
            throw pageInstead(of: "the file", place)
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
