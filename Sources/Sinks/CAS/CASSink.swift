import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// A tree of a content store, a directory in one, or the place of one file.
package struct CASSink: Sink {
    let path: LocalPath
    let stores: OpenStores
    let time: any TimeSource

    package var location: String { "cas:\(path)" + (path.namesDirectory ? "/" : "") }

    /// A sink at what follows `cas:`. Nothing is looked at before the first object.
    package init(_ path: LocalPath, stores: OpenStores, time: any TimeSource) {
        self.path = path
        self.stores = stores
        self.time = time
    }

    /// Whether the path names a tree, ends in `/`, or is a directory of a tree now.
    package func isContainer() async throws -> Bool {
        let place = try CASSink.tree(stores.locate(path), location)
        if path.namesDirectory || place.tree.path.bytes.isEmpty { return true }
        let store = place.share.store
        let tree = try store.tree(place.tree.revisionToWrite(in: store))
        let below = place.tree.path.appending(ObjectKey("/"))
        return tree?.files.contains { $0.path.hasPrefix(below) } ?? false
    }

    package func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        if relativeKey.bytes.isEmpty { return CASTarget(path: path, stores: stores, time: time) }
        do {
            return CASTarget(
                path: path.appending(try SafeName(relativeKey).components.joined(separator: [UInt8(ascii: "/")])),
                stores: stores,
                time: time
            )
        } catch {
            throw error.about(location)
        }
    }

    /// Nothing: what a dead writer left is swept by `cas gc`, when nobody can go on from it any more.
    package func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport {
        CleanUpReport()
    }

    /// - Throws: `.usage` for the store itself: files belong to trees.
    static func tree(_ place: StorePlace, _ location: String) throws(SluiceError) -> (
        share: StoreShare, tree: TreePlace
    ) {
        if let tree = place.tree { return (place.share, tree) }
        throw SluiceError(
            .usage,
            object: location,
            "this is the store itself, and files belong to a tree in it",
            remedy: "add a name for the tree: \(location.last == "/" ? location : location + "/")NAME/"
        )
    }
}
