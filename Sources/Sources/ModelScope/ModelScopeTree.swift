internal import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// One file of a repository, as the hub lists it.
package struct ModelScopeFile: Hashable, Sendable {
    package let path: ObjectKey
    package let size: UInt64
    package let sha256: Digest
}

/// What a listing of the hub has.
package enum ModelScopeEntry: Sendable {
    case file(ModelScopeFile)
    /// With the commit that last touched what is in it, where the hub tells one.
    case directory(ObjectKey, touched: String?)
    /// What no tree of git holds, or what has no digest: this one cannot be had, the others can.
    case refused(ObjectKey, SluiceError)

    package var path: ObjectKey {
        switch self {
        case .file(let file): file.path
        case .directory(let path, _), .refused(let path, _): path
        }
    }

    /// Equal for what did not change between two listings.
    var state: String {
        switch self {
        case .file(let file): "\(file.sha256.hex) \(file.size)"
        case .directory(_, let touched): "directory \(touched ?? "")"
        case .refused(_, let error): error.message
        }
    }
}

/// One answer of `repo/files` or `repo/tree`.
package struct ModelScopePage: Sendable {
    package let entries: [ModelScopeEntry]
    /// How many entries the answer has, those that are left out counted: what the hub's limit is about.
    package let count: Int
    /// How many entries there are on all pages, where the hub tells.
    package let total: Int?
    /// As it came.
    package let bytes: [UInt8]
}

/// The hub's JSON: pure, and nothing is believed. A refusal may come with the status 200: its envelope says so.
package enum ModelScopeTree {
    /// Far above what 3,000 entries take.
    static let pageLimit = 32 << 20

    private struct Envelope<Content: Decodable>: Decodable {
        let code: Int64?
        let success: Bool?
        let message: String?
        let data: Content?
    }

    private struct Nothing: Decodable {}

    private struct Listing: Decodable {
        let files: [Entry]?
        let totalCount: Int64?
    }

    private struct Entry: Decodable {
        let path: String
        let type: String
        let size: Int64?
        let sha256: String?
        let revision: String?
    }

    private struct Revisions: Decodable {
        struct Map: Decodable {
            let branches: [Named]?
            let tags: [Named]?
        }

        struct Named: Decodable {
            let revision: String
        }

        let revisionMap: Map?
    }

    private struct Info: Decodable {
        let id: Int64?
        let path: String?
        let name: String?
        let license: String?
        let visibility: Int64?
    }

    /// A name of the hub's JSON, which begins with a capital, as Swift has it.
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) {
            self.stringValue = stringValue.prefix(1).lowercased() + stringValue.dropFirst()
        }

        init?(intValue: Int) { nil }
    }

    private static func decode<Form: Decodable>(_ form: Form.Type, _ json: [UInt8]) throws -> Form {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .custom { Key(stringValue: $0.last?.stringValue ?? "") }
        return try decoder.decode(form, from: Data(json))
    }

    /// What a refusal says; nil if the answer is none, or no JSON.
    struct Refusal: Sendable {
        let code: Int64
        let message: String

        init?(_ json: [UInt8]) {
            guard let envelope = try? decode(Envelope<Nothing>.self, json),
                envelope.success == false || (envelope.code ?? 200) != 200
            else { return nil }
            code = envelope.code ?? 0
            message = String(Printable.text(envelope.message ?? "").prefix(300))
        }
    }

    /// The content of an answer.
    ///
    /// - Throws: `.badAnswer` for what is none, and what `refused` makes of a refusal.
    private static func content<Content: Decodable>(
        _ type: Content.Type,
        _ json: [UInt8],
        _ object: String,
        _ refused: (Refusal) -> SluiceError
    ) throws(SluiceError) -> Content {
        if let refusal = Refusal(json) { throw refused(refusal) }
        let envelope: Envelope<Content>
        do {
            envelope = try decode(Envelope<Content>.self, json)
        } catch {
            throw bad(object, "the hub's answer is not the JSON that it should be", "\(error)")
        }
        guard let content = envelope.data else { throw bad(object, "the hub's answer holds nothing") }
        return content
    }

    /// The entries of a listing; what is neither a file nor a directory (a submodule) is left out.
    package static func page(
        _ json: [UInt8],
        _ object: String,
        refused: (Int64, String) -> SluiceError
    ) throws(SluiceError) -> ModelScopePage {
        let listing = try content(Listing.self, json, object) { refused($0.code, $0.message) }
        guard let listed = listing.files else { throw bad(object, "the hub's answer holds no files") }
        var entries: [ModelScopeEntry] = []
        for entry in listed where entry.type == "blob" || entry.type == "tree" {
            entries.append(try self.entry(entry, object))
        }
        let total = listing.totalCount.map { Int(clamping: $0) }
        return ModelScopePage(entries: entries, count: listed.count, total: total, bytes: json)
    }

    private static func entry(_ entry: Entry, _ object: String) throws(SluiceError) -> ModelScopeEntry {
        let path = ObjectKey(entry.path)
        let shown = "\(object)/\(Printable.text(String(entry.path.prefix(200))))"
        if let reason = path.relativeRefusal {
            let remedy = "it is left out; report it to the repository's owner"
            return .refused(path, SluiceError(.unsafeName, object: shown, reason, remedy: remedy))
        }
        if entry.type == "tree" { return .directory(path, touched: entry.revision) }
        guard let size = entry.size, let length = UInt64(exactly: size), length <= HubAnswer.largestFile else {
            throw bad(shown, "the hub's listing has no size for it that a file can have: \(entry.size ?? 0)")
        }
        guard let sha256 = Digest(.sha256, hex: (entry.sha256 ?? "").lowercased()) else {
            let what = "the hub publishes no SHA-256 for it"
            let remedy = "it is left out; the hub may still be looking it over: try again later"
            return .refused(path, SluiceError(.unsupported, object: shown, what, remedy: remedy))
        }
        return .file(ModelScopeFile(path: path, size: length, sha256: sha256))
    }

    /// The names in an answer of `revisions`.
    static func revisions(
        _ json: [UInt8],
        _ object: String,
        refused: (Int64, String) -> SluiceError
    ) throws(SluiceError) -> [String] {
        let map = try content(Revisions.self, json, object) { refused($0.code, $0.message) }.revisionMap
        return ((map?.branches ?? []) + (map?.tags ?? [])).map(\.revision)
    }

    /// What an answer says of the repository: its present name, its number, and words for the record.
    static func about(
        _ json: [UInt8],
        _ object: String,
        refused: (Int64, String) -> SluiceError
    ) throws(SluiceError) -> (name: String?, identity: String?, about: [String: String]) {
        let info = try content(Info.self, json, object) { refused($0.code, $0.message) }
        let name = info.path.flatMap { owner in info.name.map { "\(owner)/\($0)" } }
        var about: [String: String] = [:]
        about["licence"] = info.license.map { String(Printable.text($0).prefix(200)) }
        // 5 is what everybody may see (modelscope-hub 0.5.1, `constants.py`, `Visibility`).
        about["private"] = info.visibility.map { $0 == 5 ? "false" : "true" }
        return (name.flatMap { HubNames.isRepository($0) ? $0 : nil }, info.id.map { "\($0)" }, about)
    }

    static func bad(_ object: String, _ what: String, _ cause: String? = nil) -> SluiceError {
        HubAnswer.bad(object, what, cause: cause, mirror: "MODELSCOPE_ENDPOINT")
    }
}
