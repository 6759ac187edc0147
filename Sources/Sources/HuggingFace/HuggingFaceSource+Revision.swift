internal import FoundationEssentials
import SluiceBytes
import SluicePipeline
import SluiceTransport

extension HuggingFaceSource: RevisionedSource {
    private static let hubName = "hugging-face"

    /// The commit, and what is said of the repository with it.
    package func revision(named requested: String?) async throws -> SourceRevision {
        let asked = HuggingFacePlace(place.kind, place.repository, revision: requested ?? place.revision ?? "main")
        guard place.path.bytes.isEmpty else {
            throw SluiceError(
                .usage,
                object: location,
                "it names a part of a repository, and a revision is all of it",
                remedy: "give \(asked.location), with --include '/\(place.path)', or '/\(place.path)/**'"
            )
        }
        // Not `blobs`: that answers with every file.
        let query = "?" + Self.told.map { "expand=\($0)" }.joined(separator: "&")
        let body = try await retrying { [hub] in
            try await hub.ask(HTTPRequest("GET", try hub.api("revision", asked, query: query)), asked).body
        }
        let answer = try HuggingFaceRepository(body, asked.location)
        return SourceRevision(
            hub: Self.hubName,
            endpoint: hub.endpoint.origin,
            kind: place.kind.rawValue,
            name: answer.name ?? place.repository,
            identity: answer.identity,
            requested: asked.revision ?? "main",
            resolved: answer.commit,
            about: answer.about
        )
    }

    package func name(of revision: SourceRevision) -> String { revision.resolved }

    private static let told = ["sha", "gated", "private", "disabled", "cardData"]

    package func tree(of revision: SourceRevision) async throws -> SourceTree {
        let pinned = HuggingFacePlace(place.kind, place.repository, revision: revision.resolved)
        var reader = TreeReader(source: self, pinned: pinned)
        var next: HTTPURL? = try hub.api("tree", pinned, path: pinned.path, query: "?recursive=true&expand=false")
        while let url = next { next = try await reader.read(url) }
        return try reader.tree()
    }

    /// Gathers a listing: all of it, or an error.
    private struct TreeReader {
        let source: HuggingFaceSource
        let pinned: HuggingFacePlace
        private var files: [SourceTree.File] = []
        private var refused: [ObjectKey: SluiceError] = [:]
        private var directories: [ObjectKey: Digest] = [:]
        private var pages: [[UInt8]] = []
        private var limit: HubListingLimit
        private var visited: Set<HTTPURL> = []
        private var seen: Set<ObjectKey> = []

        init(source: HuggingFaceSource, pinned: HuggingFacePlace) {
            self.source = source
            self.pinned = pinned
            limit = HubListingLimit(pinned.location)
        }

        func tree() throws -> SourceTree {
            // A hub, or a mirror of it, that answers so would have every file gone.
            guard !seen.isEmpty else {
                throw HuggingFaceTree.bad(pinned.location, "the hub lists no file and no directory of the commit")
            }
            return SourceTree(files: files, refused: refused, directories: directories, pages: pages)
        }

        /// Returns the next page's address; nil at the end.
        mutating func read(_ url: HTTPURL) async throws -> HTTPURL? {
            guard visited.insert(url).inserted, visited.count <= HuggingFaceHub.mostPages else {
                throw HuggingFaceTree.bad(pinned.location, "the pages of the hub's listing lead in a circle")
            }
            let (source, pinned) = (source, pinned)
            let (entries, page, headers) = try await source.retrying {
                let (body, headers) = try await source.hub.ask(HTTPRequest("GET", url), pinned)
                return (try HuggingFaceTree.entries(body, pinned.location), body, headers)
            }
            try limit.take(page)
            pages.append(page)
            for entry in entries { try take(entry) }
            source.hub.remember(entries.compactMap { if case .file(let file) = $0 { file } else { nil } }, at: pinned)
            return try source.hub.nextPage(headers, pinned)
        }

        private mutating func take(_ entry: HuggingFaceEntry) throws {
            guard seen.insert(entry.path).inserted else {
                throw HuggingFaceTree.bad(pinned.location, "the hub's listing has \(entry.path) twice")
            }
            try limit.check(entries: seen.count)
            switch entry {
            case .directory(let path, let object): directories[try source.relative(path)] = object
            case .refused(let path, let error): refused[path] = error
            case .file(let file):
                files.append(
                    SourceTree.File(
                        path: try source.relative(file.path),
                        size: file.size,
                        published: [file.published],
                        object: file.object,
                        location: pinned.at(pinned.revision ?? "main", path: file.path).location
                    )
                )
            }
        }
    }
}

/// An answer of `GET /api/models/ID/revision/REVISION`: pure, and nothing is believed.
struct HuggingFaceRepository {
    let commit: String
    /// Another than was asked for, if the repository was renamed.
    let name: String?
    let identity: String?
    /// Licence, gating, and whether it is private or disabled: as words.
    let about: [String: String]

    private struct Form: Decodable {
        struct Card: Decodable {
            let license: Words?
        }

        let sha: String?
        let id: String?
        let _id: String?
        let gated: Words?
        let `private`: Bool?
        let disabled: Bool?
        let cardData: Card?
    }

    /// A text, a list of texts, or a truth value; anything else is nothing.
    private struct Words: Decodable {
        let text: String?

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let text = try? value.decode(String.self) {
                self.text = text
            } else if let flag = try? value.decode(Bool.self) {
                text = flag ? "true" : "false"
            } else {
                text = (try? value.decode([String].self))?.joined(separator: ", ")
            }
        }
    }

    init(_ json: [UInt8], _ object: String) throws(SluiceError) {
        guard let form = try? JSONDecoder().decode(Form.self, from: Data(json)), let sha = form.sha,
            HuggingFacePlace.isCommit(sha)
        else { throw HuggingFaceTree.bad(object, "the hub's answer names no commit") }
        commit = sha
        // A name leads to requests and to keys at sinks: one that is none is not taken.
        name = form.id.flatMap { HubNames.isRepository($0) ? $0 : nil }
        identity = form._id.map { String(Printable.text($0).prefix(100)) }
        var about: [String: String] = [:]
        about["gated"] = form.gated?.text
        about["private"] = form.private.map { "\($0)" }
        about["disabled"] = form.disabled.map { "\($0)" }
        about["licence"] = form.cardData?.license?.text
        self.about = about.mapValues { String(Printable.text($0).prefix(200)) }
    }
}
