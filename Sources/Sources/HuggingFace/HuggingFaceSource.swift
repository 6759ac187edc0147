import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// A repository of a Hugging Face hub at one commit, a directory in it, or one file.
///
/// The revision becomes a commit by the first request; all that is listed and read after it is of that commit.
package final class HuggingFaceSource: Source {
    let place: HuggingFacePlace
    let hub: HuggingFaceHub
    private let commit = Mutex<String?>(nil)

    init(_ place: HuggingFacePlace, hub: HuggingFaceHub) {
        self.place = place
        self.hub = hub
    }

    /// - Parameter rest: what follows `hf://`.
    /// - Throws: `.usage` for what names no repository.
    package convenience init(rest: ObjectKey, hub: HuggingFaceHub) throws {
        self.init(try HuggingFacePlace(rest), hub: hub)
    }

    /// A page or a file of the hub, as people paste its address; nil for any other address.
    package convenience init?(page url: HTTPURL, hub: HuggingFaceHub) {
        guard let path = hub.path(of: url), let place = HuggingFacePlace(urlPath: path) else { return nil }
        self.init(place, hub: hub)
    }

    package var location: String { place.location }

    private func pinned() async throws -> HuggingFacePlace {
        if let known = commit.withLock({ $0 }) { return place.at(known, path: place.path) }
        let found = try await retrying { try await self.hub.commit(self.place) }
        // Two at once may have seen the branch move: the first one counts.
        let first = commit.withLock { commit in
            let first = commit ?? found
            commit = first
            return first
        }
        return place.at(first, path: place.path)
    }

    func retrying<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        try await hub.connection.retry(location, body)
    }

    package func isSingleObject() async throws -> Bool {
        guard !place.path.bytes.isEmpty else { return false }
        let pinned = try await pinned()
        return try await retrying { try await self.hub.file(pinned) != nil }
    }

    /// The object at the location; of a branch's, the commit is found when it is opened.
    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let path = relativeKey.bytes.isEmpty ? place.path : below.appending(relativeKey)
        let known = commit.withLock { $0 } ?? place.revision
        return hub.object(HuggingFacePlace(place.kind, place.repository, revision: known, path: path))
    }

    private var below: ObjectKey { place.path.bytes.isEmpty ? place.path : place.path.appending(ObjectKey("/")) }

    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let listing = Listing(self, recursive: recursive)
        return AsyncThrowingStream { try await listing.next() }
    }

    /// A tree, entry by entry: the next page is asked for when the last one is used up.
    private actor Listing {
        private let source: HuggingFaceSource
        private let recursive: Bool
        private var entries: ArraySlice<HuggingFaceEntry> = []
        private var next: HTTPURL?
        private var pages: Set<HTTPURL> = []
        /// Of the paths so far: eight bytes for each, however long they are.
        private var seen: Set<Int> = []
        private var isAtEnd = false

        init(_ source: HuggingFaceSource, recursive: Bool) {
            self.source = source
            self.recursive = recursive
        }

        func next() async throws -> ListingItem? {
            while true {
                guard let entry = entries.popFirst() else {
                    if isAtEnd { return nil }
                    try await read()
                    continue
                }
                if let item = try await item(entry) { return item }
            }
        }

        private func item(_ entry: HuggingFaceEntry) async throws -> ListingItem? {
            let pinned = try await source.pinned()
            guard seen.insert(entry.path.hashValue).inserted else {
                throw HuggingFaceTree.bad(pinned.location, "the hub's listing has \(entry.path) twice")
            }
            switch entry {
            case .file(let file): return .entry(try source.entry(file, pinned))
            case .directory(let path, _): return recursive ? nil : .entry(try source.entry(path, pinned))
            case .refused(_, let error): return .skipped(error)
            }
        }

        private func read() async throws {
            let hub = source.hub
            let pinned = try await source.pinned()
            if pages.isEmpty, !pinned.path.bytes.isEmpty,
                let file = try await source.retrying({ try await hub.file(pinned) })
            {
                (entries, isAtEnd) = ([.file(file)], true)
                return
            }
            let query = "?recursive=\(recursive)&expand=false"
            let url = try next ?? hub.api("tree", pinned, path: pinned.path, query: query)
            guard pages.insert(url).inserted, pages.count <= HuggingFaceHub.mostPages else {
                throw HuggingFaceTree.bad(pinned.location, "the pages of the hub's listing lead in a circle")
            }
            let (found, headers) = try await source.retrying {
                let (body, headers) = try await hub.ask(HTTPRequest("GET", url), pinned)
                return (try HuggingFaceTree.entries(body, pinned.location), headers)
            }
            hub.remember(found.compactMap { if case .file(let file) = $0 { file } else { nil } }, at: pinned)
            entries = found[...]
            next = try source.hub.nextPage(headers, pinned)
            isAtEnd = next == nil
        }
    }

    private func entry(_ file: HuggingFaceFile, _ pinned: HuggingFacePlace) throws -> SourceEntry {
        let isSelf = file.path == place.path
        return SourceEntry(
            relativeKey: isSelf ? ObjectKey("") : try relative(file.path),
            baseName: file.path.lastComponent,
            size: file.size,
            etag: "\"\(file.tag)\"",
            location: pinned.at(pinned.revision ?? "main", path: file.path).location
        )
    }

    private func entry(_ directory: ObjectKey, _ pinned: HuggingFacePlace) throws -> SourceEntry {
        let name = try relative(directory).appending(ObjectKey("/"))
        return SourceEntry(
            relativeKey: name,
            baseName: name,
            isPrefix: true,
            location: pinned.at(pinned.revision ?? "main", path: directory).location
        )
    }

    func relative(_ path: ObjectKey) throws -> ObjectKey {
        guard path.hasPrefix(below) else {
            throw HuggingFaceTree.bad(location, "the hub's listing of \(place.path) has \(path), which is not in it")
        }
        return ObjectKey(bytes: path.bytes.dropFirst(below.bytes.count))
    }
}
