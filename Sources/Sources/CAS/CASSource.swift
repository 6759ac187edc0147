import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// A content store, a tree in it, or a file of a tree.
package struct CASSource: Source {
    private let path: LocalPath
    private let stores: OpenStores
    private let time: any TimeSource

    package var location: String { "cas:\(path)" + (path.namesDirectory ? "/" : "") }

    /// A source at what follows `cas:`.
    package init(_ path: LocalPath, stores: OpenStores, time: any TimeSource) {
        self.path = path
        self.stores = stores
        self.time = time
    }

    package func isSingleObject() async throws -> Bool {
        let place = try stores.locate(path)
        guard let place = place.tree.map({ (share: place.share, tree: $0) }) else { return false }
        let tree = try tree(place.share, place.tree)
        if place.tree.path.bytes.isEmpty || path.namesDirectory { return false }
        if tree.file(place.tree.path) != nil { return true }
        guard tree.files.contains(where: { $0.path.hasPrefix(place.tree.path.appending(ObjectKey("/"))) }) else {
            throw CASSource.notFound(location, "the tree \(tree.name) has no such file")
        }
        return false
    }

    /// The files of a tree by the bytes of their paths; of the store itself, its trees.
    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let reader = TreeReader(source: self, recursive: recursive)
        return AsyncThrowingStream(unfolding: { try await reader.next() })
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let place = relativeKey.bytes.isEmpty ? path : path.appending(relativeKey.bytes)
        return CASObject(path: place, stores: stores, time: time)
    }

    // MARK: - Listing

    /// What is listed together: the trees of a store, or what is in one of them.
    fileprivate func pages(recursive: Bool) throws(SluiceError) -> [Page] {
        let place = try stores.locate(path)
        guard let treePlace = place.tree else {
            let lost = try place.share.store.lostManifests()
            let names = try place.share.store.revisions().filter { name in !lost.contains { $0.revision == name } }
            let whole = recursive ? names.map { .tree($0, place.share.store) } : [Page.entries(names.map(container))]
            return whole + lost.map { .lost($0.error(in: place.share.store.path)) }
        }
        return [.entries(try entries(place.share, treePlace, recursive: recursive))]
    }

    private func entries(_ share: StoreShare, _ treePlace: TreePlace, recursive: Bool) throws(SluiceError)
        -> [SourceEntry]
    {
        let tree = try tree(share, treePlace)
        if let file = tree.file(treePlace.path) { return [entry(file, ObjectKey(bytes: []), path)] }
        let prefix = treePlace.path.bytes.isEmpty ? treePlace.path : treePlace.path.appending(ObjectKey("/"))
        let found = below(prefix, tree.files, at: path, recursive: recursive)
        if found.isEmpty, !treePlace.path.bytes.isEmpty {
            throw CASSource.notFound(location, "the tree \(tree.name) has nothing there")
        }
        return found
    }

    private func below(
        _ prefix: ObjectKey,
        _ files: [Manifest.File],
        at path: LocalPath,
        recursive: Bool
    ) -> [SourceEntry] {
        var found: [SourceEntry] = []
        for file in files where file.path.hasPrefix(prefix) {
            let relative = ObjectKey(bytes: file.path.bytes.dropFirst(prefix.bytes.count))
            guard !recursive, let slash = relative.bytes.firstIndex(of: UInt8(ascii: "/")) else {
                found.append(entry(file, relative, path.appending(relative.bytes)))
                continue
            }
            let name = ObjectKey(bytes: relative.bytes[...slash])
            if found.last?.relativeKey != name { found.append(CASSource.container(name, path)) }
        }
        return found
    }

    private func container(_ tree: RevisionName) -> SourceEntry {
        CASSource.container(ObjectKey(tree.description + "/"), path)
    }

    fileprivate func items(_ page: Page) throws(SluiceError) -> [ListingItem] {
        switch page {
        case .entries(let entries): return entries.map { .entry($0) }
        case .tree(let name, let store):
            let tree = ObjectKey(name.description + "/")
            let at = path.appending(Array(name.description.utf8))
            // A tree that was removed since has no files.
            let files = try store.tree(name)?.files ?? []
            return files.map { .entry(entry($0, tree.appending($0.path), at.appending($0.path.bytes))) }
        case .lost(let error): return [.skipped(error)]
        }
    }

    private func entry(_ file: Manifest.File, _ key: ObjectKey, _ path: LocalPath) -> SourceEntry {
        SourceEntry(
            relativeKey: key,
            baseName: file.path.lastComponent,
            size: file.size.bytes,
            etag: CASObject.tag(file.digest),
            isPrefix: false,
            location: "cas:\(path)"
        )
    }

    private static func container(_ name: ObjectKey, _ path: LocalPath) -> SourceEntry {
        SourceEntry(
            relativeKey: name,
            baseName: ObjectKey(bytes: name.bytes.dropLast()).lastComponent,
            isPrefix: true,
            location: "cas:\(path.appending(name.bytes.dropLast()))/"
        )
    }

    private func tree(_ share: StoreShare, _ place: TreePlace) throws(SluiceError) -> Tree {
        let name = try place.revisionToRead(in: share.store)
        if let tree = try share.store.wholeTree(name) { return tree }
        throw CASSource.notFound(location, "the store has no tree \(name)")
    }

    static func notFound(_ location: String, _ message: String) -> SluiceError {
        SluiceError(.notFound, object: location, message, remedy: "list what is there: sluice cas ls")
    }
}

private enum Page {
    case entries([SourceEntry])
    case tree(RevisionName, ContentStore)
    /// A tree of which a manifest is lost.
    case lost(SluiceError)
}

/// Hands a listing out entry by entry and reads one tree after another: memory does not grow with the store.
private actor TreeReader {
    private let source: CASSource
    private let recursive: Bool
    private var pages: ArraySlice<Page>?
    private var items: ArraySlice<ListingItem> = []

    init(source: CASSource, recursive: Bool) {
        self.source = source
        self.recursive = recursive
    }

    func next() throws -> ListingItem? {
        var left = try pages ?? source.pages(recursive: recursive)[...]
        while items.isEmpty, let page = left.popFirst() { items = try source.items(page)[...] }
        pages = left
        return items.popFirst()
    }
}
