import SluiceBytes
import SluicePipeline

/// Lists a repository of which one answer may not tell everything: pure but for the requests, which the caller sends.
///
/// Models: an answer ends at 3,000 entries without a word (modelscope-hub 0.5.1, `REPO_FILES_TRUNCATION_LIMIT`), so one
/// that is as long is only a claim; then each directory is listed apart. Datasets have pages. As the hub names no commit,
/// the top level is listed before and after more than one request: if it differs, the revision moved meanwhile.
struct ModelScopeWalk {
    /// A request for a listing.
    struct Ask: Hashable, Sendable {
        let root: ObjectKey
        let isRecursive: Bool
        /// From 1; nil where listings have no pages.
        var page: Int?
    }

    /// All that is below a place.
    struct Found: Sendable {
        var entries: [ObjectKey: ModelScopeEntry] = [:]
        /// What the hub answered, in order.
        var pages: [[UInt8]] = []

        var files: [ModelScopeFile] { entries.values.compactMap { if case .file(let file) = $0 { file } else { nil } } }
    }

    let object: String
    let hasPages: Bool
    /// How many entries an answer has at most.
    let cap: Int
    let ask: (Ask) async throws -> ModelScopePage

    private var found = Found()
    private var limit: HubListingLimit
    private var bytes: UInt64 = 0
    private var requests = 0

    /// Listings of one repository at most; 200 entries or more each.
    private static let mostRequests = 5_000

    init(
        object: String,
        hasPages: Bool,
        cap: Int = 3_000,
        limit: HubListingLimit? = nil,
        ask: @escaping (Ask) async throws -> ModelScopePage
    ) {
        self.object = object
        self.hasPages = hasPages
        self.cap = cap
        self.ask = ask
        self.limit = limit ?? HubListingLimit(object)
    }

    /// Everything below `root`.
    mutating func everything(below root: ObjectKey) async throws -> Found {
        let first = try await request(Ask(root: root, isRecursive: true, page: hasPages ? 1 : nil))
        if try await isWhole(first, below: root) {
            try take(first.entries, below: root)
            return found
        }
        let before = try await level(root)
        if hasPages {
            try take(try await pages(of: root, isRecursive: true), below: root)
        } else {
            try await walk(root, before)
        }
        let after = try await level(root)
        guard ModelScopeWalk.states(before) == ModelScopeWalk.states(after) else { throw moved() }
        for entry in first.entries where found.entries[entry.path].map(\.state) != entry.state {
            if case .directory = entry { continue }
            throw moved()
        }
        return found
    }

    /// What is in a directory itself.
    mutating func level(_ root: ObjectKey) async throws -> [ModelScopeEntry] {
        if hasPages { return try direct(try await pages(of: root, isRecursive: false), of: root) }
        let page = try await request(Ask(root: root, isRecursive: false))
        guard page.count < cap else {
            throw SluiceError(
                .unsupported,
                object: object,
                "\(root.bytes.isEmpty ? "its top level" : "the directory \(root)") has \(page.count) entries or more, and "
                    + "the hub lists no more than that: the others cannot be known",
                remedy: "ask the owner to sort them into directories, or name single files"
            )
        }
        return try direct(page.entries, of: root)
    }

    // MARK: - Parts of a listing

    /// Directory by directory, from the level of `root` down.
    private mutating func walk(_ root: ObjectKey, _ level: [ModelScopeEntry]) async throws {
        var levels = [(root, level)]
        while let (root, level) = levels.popLast() {
            try take(level, below: root)
            for case .directory(let path, _) in level {
                let page = try await request(Ask(root: path, isRecursive: true))
                guard page.count > 0 else { throw moved() }
                if holdsAll(page) {
                    try take(page.entries, below: path)
                } else {
                    levels.append((path, try await self.level(path)))
                }
            }
        }
    }

    /// Page by page, until as many entries came as the hub says there are, or none more.
    private mutating func pages(of root: ObjectKey, isRecursive: Bool) async throws -> [ModelScopeEntry] {
        var entries: [ModelScopeEntry] = []
        var count = 0
        var number = 1
        while true {
            let page = try await request(Ask(root: root, isRecursive: isRecursive, page: number))
            entries += page.entries
            count += page.count
            number += 1
            if let total = page.total {
                guard count <= total, page.count > 0 || count == total else {
                    throw bad("the hub says that there are \(total) entries, and lists \(count)")
                }
                if count == total { return entries }
            } else if page.count == 0 {
                return entries
            }
        }
    }

    private mutating func isWhole(_ first: ModelScopePage, below root: ObjectKey) async throws -> Bool {
        guard hasPages else { return holdsAll(first) }
        if let total = first.total { return total == first.count }
        if first.count == 0 { return true }
        return try await request(Ask(root: root, isRecursive: true, page: 2)).count == 0
    }

    /// Whether an answer without pages is a whole listing: git has no empty directory, so one of which nothing is listed
    /// was cut.
    private func holdsAll(_ page: ModelScopePage) -> Bool {
        guard page.count < cap else { return false }
        let filled = Set(page.entries.compactMap { ModelScopeWalk.parent($0.path) })
        return page.entries.allSatisfy { if case .directory(let path, _) = $0 { filled.contains(path) } else { true } }
    }

    private mutating func take(_ entries: [ModelScopeEntry], below root: ObjectKey) throws {
        let start = HubListing.below(root)
        for entry in entries {
            if case .refused = entry {
                found.entries[entry.path] = entry
                continue
            }
            guard entry.path.hasPrefix(start) else {
                throw bad("the hub's listing of \(root) has \(entry.path), which is not in it")
            }
            guard found.entries.updateValue(entry, forKey: entry.path) == nil else {
                throw bad("the hub's listing has \(entry.path) twice")
            }
            if case .file(let file) = entry { bytes = min(bytes + file.size, .max >> 1) }
        }
        guard bytes <= HubAnswer.largestTotal else {
            throw bad("the hub's listing has \(bytes) bytes, more than can be")
        }
        try limit.check(entries: found.entries.count)
    }

    private func direct(_ entries: [ModelScopeEntry], of root: ObjectKey) throws -> [ModelScopeEntry] {
        for entry in entries {
            if case .refused = entry { continue }
            guard ModelScopeWalk.parent(entry.path) ?? ObjectKey("") == root else {
                throw bad("the hub's listing of the directory \(root) alone has \(entry.path)")
            }
        }
        return entries
    }

    private mutating func request(_ ask: Ask) async throws -> ModelScopePage {
        requests += 1
        guard requests <= ModelScopeWalk.mostRequests else {
            let most = ModelScopeWalk.mostRequests
            throw SluiceError(.limit, object: object, "its listing takes more than \(most) requests")
        }
        let page = try await self.ask(ask)
        try limit.take(page.bytes)
        found.pages.append(page.bytes)
        return page
    }

    // MARK: - Words

    private static func states(_ entries: [ModelScopeEntry]) -> [ObjectKey: String] {
        Dictionary(entries.map { ($0.path, $0.state) }) { first, _ in first }
    }

    /// The directory that a path is in; nil at the top level.
    private static func parent(_ path: ObjectKey) -> ObjectKey? {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { return nil }
        return ObjectKey(bytes: path.bytes[..<slash])
    }

    private func moved() -> SluiceError {
        SluiceError(
            .sourceChanged,
            object: object,
            "the revision changed while it was listed",
            remedy: "run the command again, or name a tag or a commit that does not move",
            retry: .never
        )
    }

    private func bad(_ what: String) -> SluiceError { ModelScopeTree.bad(object, what) }
}
