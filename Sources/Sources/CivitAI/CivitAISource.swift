import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// A version of a model at CivitAI, or one of its files.
///
/// The version becomes a number and a state by the first request; all that is listed and read after it is of that state.
package final class CivitAISource: Source {
    let place: CivitAIPlace
    let hub: CivitAIHub
    private let version = Mutex<CivitAIVersion?>(nil)

    init(_ place: CivitAIPlace, hub: CivitAIHub) {
        self.place = place
        self.hub = hub
    }

    /// - Parameter rest: what follows `civitai://`.
    /// - Throws: `.usage` for what names no model.
    package convenience init(rest: ObjectKey, hub: CivitAIHub) throws {
        self.init(try CivitAIPlace(rest), hub: hub)
    }

    /// - Parameter name: `urn:air:…`.
    /// - Throws: `.usage` for what is no name of CivitAI.
    package convenience init(air name: String, hub: CivitAIHub) throws {
        self.init(CivitAIPlace(try AIRName(name)), hub: hub)
    }

    /// A page or a download of the hub, as people paste its address; nil for any other address.
    ///
    /// - Throws: `.usage` for one with a token in it.
    package convenience init?(page url: HTTPURL, hub: CivitAIHub) throws {
        guard let path = hub.path(of: url), let place = try CivitAIPlace(urlPath: path, query: url.query) else {
            return nil
        }
        self.init(place, hub: hub)
    }

    package var location: String { place.location }

    func retrying<R: Sendable>(_ body: () async throws -> R) async throws -> R {
        try await hub.connection.retry(location, body)
    }

    private func found() async throws -> CivitAIVersion {
        if let known = version.withLock({ $0 }) { return known }
        let found = try await retrying { try await self.hub.version(self.place).version }
        // Two at once may have seen it edited: the first one counts.
        return version.withLock { version in
            let first = version ?? found
            version = first
            return first
        }
    }

    private func files() async throws -> (CivitAIVersion, [(path: ObjectKey, file: CivitAIFile)]) {
        let version = try await found()
        return (version, try version.files(place, page: hub.page(place)))
    }

    package func isSingleObject() async throws -> Bool {
        switch place.choice {
        case .file, .like:
            _ = try await files()
            return true
        case .path(let path):
            guard !path.bytes.isEmpty else { return false }
            return try await files().1.first.map { place.names($0.path) } ?? false
        }
    }

    /// The file's own name, which the location may not end in.
    package func objectName() async throws -> ObjectKey? {
        if let name = place.storedName { return name }
        return try await files().1.first?.path.lastComponent
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let known = version.withLock { $0 }
        guard let known else {
            guard relativeKey.bytes.isEmpty else {
                return hub.object(
                    CivitAIPlace(
                        model: place.model,
                        version: place.version,
                        state: place.state,
                        .path(below.appending(relativeKey))
                    )
                )
            }
            return hub.object(place)
        }
        let chosen = relativeKey.bytes.isEmpty ? place.choice : .path(below.appending(relativeKey))
        let wanted = CivitAIPlace(model: known.model, version: known.id, state: known.state, chosen)
        guard let (path, file) = try known.files(wanted, page: hub.page(place)).first, wanted.names(path) else {
            return hub.object(wanted)
        }
        let name = relativeKey.bytes.isEmpty ? place.storedName : nil
        return hub.object(place.at(known, .file(file.id, name: name ?? path.lastComponent)))
    }

    private var below: ObjectKey {
        guard case .path(let path) = place.choice, !path.bytes.isEmpty else { return ObjectKey("") }
        return path.appending(ObjectKey("/"))
    }

    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let listing = Listing(self, recursive: recursive)
        return AsyncThrowingStream { try await listing.next() }
    }

    /// A version has few files: all of them are known at once.
    private actor Listing {
        private let source: CivitAISource
        private let recursive: Bool
        private var entries: ArraySlice<SourceEntry>?

        init(_ source: CivitAISource, recursive: Bool) {
            self.source = source
            self.recursive = recursive
        }

        func next() async throws -> ListingItem? {
            if entries == nil { entries = try await source.entries(recursive: recursive)[...] }
            return entries?.popFirst().map { .entry($0) }
        }
    }

    private func entries(recursive: Bool) async throws -> [SourceEntry] {
        let (version, files) = try await files()
        var entries: [SourceEntry] = []
        var directories: Set<ObjectKey> = []
        for (path, file) in files {
            let key = try relative(path)
            let first = ObjectKey(bytes: key.bytes.prefix { $0 != UInt8(ascii: "/") } + [UInt8(ascii: "/")])
            if recursive || !key.bytes.contains(UInt8(ascii: "/")) {
                entries.append(entry(file, path, key, of: version))
            } else if directories.insert(first).inserted {
                let directory = below.appending(ObjectKey(bytes: first.bytes.dropLast()))
                entries.append(
                    SourceEntry(
                        relativeKey: first,
                        baseName: first,
                        isPrefix: true,
                        location: place.at(version, .path(directory)).location
                    )
                )
            }
        }
        return entries
    }

    private func entry(
        _ file: CivitAIFile,
        _ path: ObjectKey,
        _ key: ObjectKey,
        of version: CivitAIVersion
    ) -> SourceEntry {
        SourceEntry(
            relativeKey: key,
            baseName: path.lastComponent,
            size: hub.size(of: file),
            etag: file.published.first.map { "\"\($0.hex)\"" },
            location: place.at(version, .file(file.id, name: path.lastComponent)).location
        )
    }

    /// Empty for the one file that the location names.
    private func relative(_ path: ObjectKey) throws -> ObjectKey {
        guard case .path(let base) = place.choice, base != path else { return ObjectKey("") }
        guard path.hasPrefix(below) else { throw hub.endpoint.bad(location, "\(path) is not in \(base)") }
        return ObjectKey(bytes: path.bytes.dropFirst(below.bytes.count))
    }
}

extension CivitAIPlace {
    /// Whether it names that one file of the tree, rather than a directory above it.
    func names(_ path: ObjectKey) -> Bool { choice == .path(path) || !isPath }

    private var isPath: Bool {
        if case .path = choice { return true }
        return false
    }

    /// What the user wants a file called.
    var storedName: ObjectKey? {
        guard case .file(_, let name) = choice else { return nil }
        return name
    }
}

extension CivitAIVersion {
    /// The files that a place names, with their places in the tree.
    ///
    /// - Throws: `.notFound` if there is none, `.usage` if words that choose one fit several.
    func files(_ place: CivitAIPlace, page: String) throws -> [(path: ObjectKey, file: CivitAIFile)] {
        let tree = tree
        let found: [(path: ObjectKey, file: CivitAIFile)]
        switch place.choice {
        case .path(let path):
            let below = path.appending(ObjectKey("/"))
            found = tree.filter { path.bytes.isEmpty || $0.path == path || $0.path.hasPrefix(below) }
        case .file(let id, _): found = tree.filter { $0.file.id == id }
        case .like(let words):
            let fitting = tree.filter { entry in words.allSatisfy { entry.file.words[$0.key] == $0.value } }
            let primary = fitting.filter(\.file.isPrimary)
            found = fitting.count > 1 && (words.isEmpty || !primary.isEmpty) ? primary : fitting
            guard found.count <= 1 else {
                let ids = found.map { "\($0.file.id)" }.joined(separator: ", ")
                throw SluiceError(
                    .usage,
                    object: place.location,
                    "the address fits \(found.count) files of the version: \(ids)",
                    remedy: "write \(CivitAIPlace(model: model, version: id).location)+FILE"
                )
            }
        }
        if !found.isEmpty { return found }
        throw SluiceError(
            .notFound,
            object: place.location,
            "version \(id) has no such file",
            remedy: "sluice ls \(CivitAIPlace(model: model, version: id).location) shows its files; see \(page)"
        )
    }
}
