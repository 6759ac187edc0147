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
        AsyncThrowingStream { continuation in
            do {
                for entry in try entries(recursive: recursive) { continuation.yield(.entry(entry)) }
                continuation.finish()
            } catch {
                continuation.finish(throwing: error)
            }
        }
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let place = relativeKey.bytes.isEmpty ? path : path.appending(relativeKey.bytes)
        return CASObject(path: place, stores: stores, time: time)
    }

    // MARK: - Listing

    private func entries(recursive: Bool) throws(SluiceError) -> [SourceEntry] {
        let place = try stores.locate(path)
        guard let treePlace = place.tree else { return try trees(place.share.store, recursive: recursive) }
        let tree = try tree(place.share, treePlace)
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

    private func trees(_ store: ContentStore, recursive: Bool) throws(SluiceError) -> [SourceEntry] {
        var found: [SourceEntry] = []
        for name in try store.revisions() {
            let tree = ObjectKey(name.description + "/")
            guard recursive else {
                found.append(CASSource.container(tree, path))
                continue
            }
            let files = try store.tree(name)?.files ?? []
            let at = path.appending(Array(name.description.utf8))
            found += files.map { entry($0, tree.appending($0.path), at.appending($0.path.bytes)) }
        }
        return found
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
        if let tree = try share.store.tree(name) { return tree }
        throw CASSource.notFound(location, "the store has no tree \(name)")
    }

    static func notFound(_ location: String, _ message: String) -> SluiceError {
        SluiceError(.notFound, object: location, message, remedy: "list what is there: sluice cas ls")
    }
}
