import SluiceBytes
import SluicePipeline

/// What a location names at a Hugging Face hub: a repository, a revision, a path. Parsing is pure.
///
/// `hf://[datasets/|spaces/]ORG/NAME[@REVISION][/PATH]`, the grammar of the hub's own file system layer
/// (`HfFileSystem.resolve_path`): in `REVISION` a `/` is written `%2F`, but for `refs/pr/N` and `refs/convert/NAME`;
/// `PATH` stands as it is.
struct HuggingFacePlace: Hashable, Sendable {
    enum Kind: String, Sendable {
        case model = "models"
        case dataset = "datasets"
        case space = "spaces"

        /// Before the repository, in locations and in addresses of files.
        var prefix: String { self == .model ? "" : rawValue + "/" }
    }

    let kind: Kind
    /// `org/name`.
    let repository: String
    /// A branch, a tag, a commit, `refs/pr/1`; nil: `main`.
    let revision: String?
    /// Of a file or a directory; empty: everything.
    let path: ObjectKey

    init(_ kind: Kind, _ repository: String, revision: String? = nil, path: ObjectKey = ObjectKey("")) {
        self.kind = kind
        self.repository = repository
        self.revision = revision
        self.path = path
    }

    /// - Parameter rest: what follows `hf://`.
    /// - Throws: `.usage`, saying what is missing.
    init(_ rest: ObjectKey) throws(SluiceError) {
        let object = "hf://\(rest)"
        guard rest.losslessText != nil else { throw Self.refusal(object, "a name at the hub is UTF-8 text") }
        var parts = HubNames.components(rest.bytes)
        if parts.last == "" { parts.removeLast() }
        var kind = Kind.model
        if let first = parts.first, let named = Kind(rawValue: first), parts.count > 1 {
            kind = named
            parts.removeFirst()
        }
        guard parts.count >= 2 else { throw Self.refusal(object, "write hf://ORG/NAME[@REVISION][/PATH]") }
        let (name, written) = HubNames.cut(parts[1], at: "@")
        var used = 2
        var revision: String?
        if let written {
            if written == "refs", parts.count >= 4, ["pr", "convert"].contains(parts[2]) {
                revision = "refs/\(parts[2])/\(parts[3])"
                used = 4
            } else {
                revision = HubNames.decoded(written)
            }
            guard let revision, !revision.isEmpty else { throw Self.refusal(object, "after @ comes a revision") }
        }
        try self.init(kind, [parts[0], name], revision, parts.dropFirst(used).joined(separator: "/"), object)
    }

    /// The address of a page or a file, as people paste it: `/ORG/NAME[/tree|blob|resolve|raw/REVISION[/PATH]]`.
    ///
    /// Nil for any other address.
    init?(urlPath: String) {
        var parts = HubNames.components(urlPath.utf8).filter { !$0.isEmpty }.map { HubNames.decoded($0) ?? "" }
        var kind = Kind.model
        if let first = parts.first, let named = Kind(rawValue: first), named != .model {
            kind = named
            parts.removeFirst()
        }
        guard parts.count >= 2, !Self.reserved.contains(parts[0]) else { return nil }
        var revision: String?
        var path = ""
        if parts.count > 2 {
            guard ["tree", "blob", "resolve", "raw"].contains(parts[2]), parts.count > 3 else { return nil }
            var used = 4
            revision = parts[3]
            if parts[3] == "refs", parts.count >= 6 {
                revision = parts[3...5].joined(separator: "/")
                used = 6
            }
            path = parts.dropFirst(used).joined(separator: "/")
        }
        guard let place = try? HuggingFacePlace(kind, Array(parts[..<2]), revision, path, "") else { return nil }
        self = place
    }

    private init(
        _ kind: Kind,
        _ names: [String],
        _ revision: String?,
        _ path: String,
        _ object: String
    ) throws(SluiceError) {
        guard names.allSatisfy(HubNames.isName) else {
            throw Self.refusal(object, "a repository's name holds letters, digits, '-', '_' and '.'")
        }
        let key = ObjectKey(path)
        if !key.bytes.isEmpty, let reason = key.relativeRefusal { throw Self.refusal(object, reason) }
        self.init(kind, names.joined(separator: "/"), revision: revision, path: key)
    }

    /// The same place at a commit.
    func at(_ commit: String, path: ObjectKey) -> HuggingFacePlace {
        HuggingFacePlace(kind, repository, revision: commit, path: path)
    }

    /// Parses to this place again.
    var location: String {
        var text = "hf://\(kind.prefix)\(repository)"
        if let revision {
            let isSpecial = ["refs/pr/", "refs/convert/"].contains { start in
                revision.hasPrefix(start) && !revision.dropFirst(start.count).utf8.contains(UInt8(ascii: "/"))
            }
            text += "@" + (isSpecial ? revision : HubURL.component(revision.utf8))
        }
        return path.bytes.isEmpty ? text : text + "/" + path.text
    }

    /// Whether the revision is a commit, which never moves.
    var isPinned: Bool { revision.map(Self.isCommit) ?? false }

    static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// First components of addresses at the hub that are no owner's.
    private static let reserved: Set<String> = [
        "api", "docs", "blog", "papers", "collections", "settings", "models", "join", "login", "pricing", "posts",
        "datasets", "spaces", "organizations", "learn", "chat", "tasks", "buckets", "kernels",
    ]

    private static func refusal(_ object: String, _ what: String) -> SluiceError {
        SluiceError(
            .usage,
            object: Printable.text(object),
            what,
            remedy: "for example hf://Qwen/Qwen3-0.6B or hf://datasets/ORG/NAME@v1.0/data/train.parquet"
        )
    }
}
