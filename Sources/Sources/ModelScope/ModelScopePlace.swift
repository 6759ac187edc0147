import SluiceBytes
import SluicePipeline

/// What a location names at ModelScope: a repository, a revision, a path. Parsing is pure.
///
/// `ms://[datasets/]ORG/NAME[@REVISION[:SHA256:SIZE]][/PATH]`. The hub tells no commit with a listing, so what a listing
/// found is pinned by content: digest and length of the one file that the location names. No name of git holds a `:`.
struct ModelScopePlace: Hashable, Sendable {
    enum Kind: String, Sendable {
        case model = "models"
        case dataset = "datasets"

        /// Before the repository, in locations.
        var prefix: String { self == .model ? "" : rawValue + "/" }
    }

    /// The one content that a location means.
    struct Content: Hashable, Sendable {
        let sha256: Digest
        let size: UInt64
    }

    let kind: Kind
    /// `org/name`.
    let repository: String
    /// A branch, a tag, a commit; nil: `master`.
    let revision: String?
    /// Of a file or a directory; empty: everything.
    let path: ObjectKey
    let content: Content?

    static let mainRevision = "master"

    init(
        _ kind: Kind,
        _ repository: String,
        revision: String? = nil,
        path: ObjectKey = ObjectKey(""),
        content: Content? = nil
    ) {
        self.kind = kind
        self.repository = repository
        self.revision = revision
        self.path = path
        self.content = content
    }

    /// - Parameter rest: what follows `ms://`.
    /// - Throws: `.usage`, saying what is missing.
    init(_ rest: ObjectKey) throws(SluiceError) {
        let object = "ms://\(rest)"
        guard rest.losslessText != nil else { throw Self.refusal(object, "a name at the hub is UTF-8 text") }
        var parts = HubNames.components(rest.bytes)
        if parts.last == "" { parts.removeLast() }
        var kind = Kind.model
        if let first = parts.first, let named = Kind(rawValue: first), parts.count > 1 {
            kind = named
            parts.removeFirst()
        }
        guard parts.count >= 2 else { throw Self.refusal(object, "write ms://ORG/NAME[@REVISION][/PATH]") }
        let (name, written) = HubNames.cut(parts[1], at: "@")
        var revision: String?
        var content: Content?
        if let written {
            let (text, pin) = HubNames.cut(written, at: ":")
            revision = HubNames.decoded(text)
            guard let revision, !revision.isEmpty else { throw Self.refusal(object, "after @ comes a revision") }
            if let pin {
                content = Self.content(pin)
                guard content != nil else {
                    throw Self.refusal(object, "after @REVISION: come a SHA-256 and a size: SHA256:SIZE")
                }
            }
        }
        let path = parts.dropFirst(2).joined(separator: "/")
        try self.init(kind, [parts[0], name], revision, path, content, object)
        if content != nil, path.isEmpty { throw Self.refusal(object, "a SHA-256 is that of a file: add its path") }
    }

    /// The address of a page or a file, as people paste it: `/models/ORG/NAME`, below it `/files`, `/summary`,
    /// `/file/view|tree|resolve/REVISION[/PATH]`, or `/api/v1/models/ORG/NAME/repo?Revision=…&FilePath=…`.
    ///
    /// Nil for any other address.
    init?(urlPath: String, query: String?) {
        var parts = HubNames.components(urlPath.utf8).filter { !$0.isEmpty }.map { HubNames.decoded($0) ?? "" }
        let isAPI = parts.starts(with: ["api", "v1"])
        if isAPI { parts.removeFirst(2) }
        guard parts.count >= 3, let kind = Kind(rawValue: parts[0]) else { return nil }
        let names = Array(parts[1...2])
        var rest = Array(parts[3...])
        var revision: String?
        var path = ""
        if isAPI {
            let fields = Self.fields(query)
            guard rest == ["repo"], let file = fields["FilePath"] else { return nil }
            (revision, path) = (fields["Revision"], file)
        } else if !rest.isEmpty, rest != ["files"], rest != ["summary"] {
            if rest.starts(with: ["file", "view"]) { rest.removeFirst() }
            guard rest.count >= 2, ["view", "tree", "resolve"].contains(rest[0]) else { return nil }
            revision = rest[1]
            path = rest[2...].joined(separator: "/")
        }
        guard let place = try? ModelScopePlace(kind, names, revision, path, nil, "") else { return nil }
        self = place
    }

    private init(
        _ kind: Kind,
        _ names: [String],
        _ revision: String?,
        _ path: String,
        _ content: Content?,
        _ object: String
    ) throws(SluiceError) {
        guard names.allSatisfy(HubNames.isName) else {
            throw Self.refusal(object, "a repository's name holds letters, digits, '-', '_' and '.'")
        }
        let key = ObjectKey(path)
        if !key.bytes.isEmpty, let reason = key.relativeRefusal { throw Self.refusal(object, reason) }
        self.init(kind, names.joined(separator: "/"), revision: revision, path: key, content: content)
    }

    /// Another place of the same repository and revision.
    func at(_ path: ObjectKey, content: Content? = nil) -> ModelScopePlace {
        ModelScopePlace(kind, repository, revision: revision ?? Self.mainRevision, path: path, content: content)
    }

    /// Parses to this place again.
    var location: String {
        var text = "ms://\(kind.prefix)\(repository)"
        if let revision {
            text += "@" + HubURL.component(revision.utf8)
            if let content { text += ":\(content.sha256.hex):\(content.size)" }
        }
        return path.bytes.isEmpty ? text : text + "/" + path.text
    }

    private static func content(_ text: String) -> Content? {
        let (hex, size) = HubNames.cut(text, at: ":")
        guard let sha256 = Digest(.sha256, hex: hex), sha256.hex == hex, let size, let length = UInt64(size),
            length <= HubAnswer.largestFile, "\(length)" == size
        else { return nil }
        return Content(sha256: sha256, size: length)
    }

    /// `a=b&c=d`, decoded; `+` is a space, as forms write it.
    private static func fields(_ query: String?) -> [String: String] {
        var fields: [String: String] = [:]
        for field in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let (name, value) = HubNames.cut(String(decoding: field, as: UTF8.self), at: "=")
            let spaced = (value ?? "").utf8.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
            fields[name] = HubNames.decoded(String(decoding: spaced, as: UTF8.self))
        }
        return fields
    }

    private static func refusal(_ object: String, _ what: String) -> SluiceError {
        SluiceError(
            .usage,
            object: Printable.text(object),
            what,
            remedy: "for example ms://Qwen/Qwen3-0.6B or ms://datasets/ORG/NAME@v1.0/data/train.parquet"
        )
    }
}
