import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// A repository of ModelScope at a revision, a directory in it, or one file.
///
/// The hub tells no commit with a listing: what a revision is, is the list of its files with their digests. Every object
/// is pinned to its own, and what a listing found is read at that content or not at all.
package final class ModelScopeSource: Source {
    let place: ModelScopePlace
    let hub: ModelScopeHub
    /// What was found, by path: objects are opened by it.
    private let known = Mutex<[ObjectKey: ModelScopeFile]>([:])
    /// What a revision was named after.
    let listed = Mutex<ModelScopeWalk.Found?>(nil)

    init(_ place: ModelScopePlace, hub: ModelScopeHub) {
        self.place = place
        self.hub = hub
    }

    /// - Parameter rest: what follows `ms://`.
    /// - Throws: `.usage` for what names no repository.
    package convenience init(rest: ObjectKey, hub: ModelScopeHub) throws {
        self.init(try ModelScopePlace(rest), hub: hub)
    }

    package var location: String { place.location }

    package func isSingleObject() async throws -> Bool {
        if place.path.bytes.isEmpty { return false }
        if place.content != nil { return true }
        switch try await hub.entry(place) {
        case .file(let file):
            known.withLock { $0[file.path] = file }
            return true
        case .directory: return false
        case .refused, nil: throw nothing()
        }
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        if relativeKey.bytes.isEmpty, place.content != nil { return hub.object(place) }
        let path = relativeKey.bytes.isEmpty ? place.path : HubListing.below(place.path).appending(relativeKey)
        let file = known.withLock { $0[path] }
        return hub.object(file.map { place.at($0) } ?? place.at(path))
    }

    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let listing = Listing(self, recursive: recursive)
        return AsyncThrowingStream { try await listing.next() }
    }

    /// All of a listing, which is whole before its first entry is told.
    private actor Listing {
        private let source: ModelScopeSource
        private let recursive: Bool
        private var entries: ArraySlice<ModelScopeEntry>?

        init(_ source: ModelScopeSource, recursive: Bool) {
            self.source = source
            self.recursive = recursive
        }

        func next() async throws -> ListingItem? {
            while true {
                if entries == nil { entries = try await source.entries(recursive: recursive)[...] }
                guard let entry = entries?.popFirst() else { return nil }
                if let item = try source.item(entry, recursive: recursive) { return item }
            }
        }
    }

    private func item(_ entry: ModelScopeEntry, recursive: Bool) throws -> ListingItem? {
        switch entry {
        case .refused(_, let error): return .skipped(error)
        case .directory(let path, _):
            let listing = HubListing(place: place.path) { self.place.at($0).location }
            return recursive ? nil : try listing.directory(path)
        case .file(let file):
            let listing = HubListing(place: place.path) { _ in self.place.at(file).location }
            return try listing.file(file.path, size: file.size, tag: file.sha256.hex)
        }
    }

    /// In the order of the names' bytes; the file itself if the place is one.
    private func entries(recursive: Bool) async throws -> [ModelScopeEntry] {
        if !place.path.bytes.isEmpty, case .file(let file)? = try await hub.entry(place) { return [.file(file)] }
        var found: [ModelScopeEntry]
        if recursive {
            found = Array(try await everything().entries.values)
        } else {
            var walk = walk
            found = try await walk.level(place.path)
            if found.isEmpty { try await checkRevision() }
        }
        found.sort { $0.path < $1.path }
        remember(found)
        return found
    }

    private var walk: ModelScopeWalk {
        ModelScopeWalk(object: location, hasPages: place.kind == .dataset) { [hub, place, location] ask in
            try await hub.connection.retry(location) { try await hub.list(ask, of: place) }
        }
    }

    func everything() async throws -> ModelScopeWalk.Found {
        var walk = walk
        let found = try await walk.everything(below: place.path)
        if found.entries.isEmpty { try await checkRevision() }
        return found
    }

    func remember(_ entries: some Sequence<ModelScopeEntry>) {
        known.withLock { known in
            for case .file(let file) in entries { known[file.path] = file }
        }
    }

    /// An empty listing is also what a revision has that does not exist, and a directory.
    private func checkRevision() async throws {
        guard place.path.bytes.isEmpty else { throw nothing() }
        let revision = place.revision ?? ModelScopePlace.mainRevision
        let names = try await hub.connection.retry(location) { try await self.hub.revisions(self.place) }
        if names.contains(revision) { return }
        throw SluiceError(
            .notFound,
            object: location,
            "\(place.repository) has no revision \(Printable.text(revision))",
            remedy: "it has \(names.prefix(10).map { Printable.text($0) }.joined(separator: ", ")); see "
                + hub.page(place)
        )
    }

    private func nothing() -> SluiceError {
        SluiceError(
            .notFound,
            object: location,
            "the revision has no such file or directory",
            remedy: "see \(hub.page(place)) for its files, branches and tags"
        )
    }
}
