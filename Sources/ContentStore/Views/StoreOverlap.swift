import Glibc
import SluiceBytes
import SluicePipeline

/// Keeps what is not the store's out of its own directories.
package enum StoreOverlap {
    private static let slash = UInt8(ascii: "/")

    /// The store that a path leads into, wherever its links lead, and what of it is below the store's root. By its marker,
    /// also where it cannot be opened.
    package static func home(of path: LocalPath) -> (root: LocalPath, below: [[UInt8]])? {
        guard var above = nearest(path) else { return nil }
        var below: [[UInt8]] = []
        while (try? FileStatus(above.appending(StoreMarker.name.bytes).bytes)) == nil {
            if above.parent == above { return nil }
            below.insert(above.baseName, at: 0)
            above = above.parent
        }
        return (above, below)
    }

    /// Opens the root of a view, made if it is missing.
    ///
    /// - Throws: `.usage` if it is the store, or lies in it other than below `hub`; nothing was made there then.
    static func make(_ root: DirectoryRoot, _ store: ContentStore) throws(SluiceError) {
        // Before: what is missing would be made in the store. Afterwards: what was missing may have become a link.
        try foresee(root, store)
        try check(try root.made([]).realPath, root.path, store)
    }

    /// The same without making it: where it would be.
    static func foresee(_ root: DirectoryRoot, _ store: ContentStore) throws(SluiceError) {
        try refuse(root.path, store)
    }

    /// The same for a directory of a user's that is read: what the store has is no user's file.
    static func refuse(_ path: LocalPath, _ store: ContentStore) throws(SluiceError) {
        try check(nearest(path), path, store)
    }

    /// Where a path leads that need not exist: the nearest directory above it that does, and the rest.
    private static func nearest(_ path: LocalPath) -> LocalPath? {
        var above = path
        var missing: [[UInt8]] = []
        while true {
            if let found = try? OwnedDescriptor.open(above.bytes, O_RDONLY | O_DIRECTORY) {
                return found.realPath?.appending(missing.reversed().joined(separator: [slash]))
            }
            if above.parent == above { return nil }
            missing.append(above.baseName)
            above = above.parent
        }
    }

    private static func check(
        _ place: LocalPath?,
        _ path: LocalPath,
        _ store: ContentStore
    ) throws(SluiceError) {
        guard let home = store.layout.root.descriptor.realPath else { return }
        let below = place?.bytes.split(separator: slash) ?? []
        let above = home.bytes.split(separator: slash)
        guard below.starts(with: above) else { return }
        let rest = below.dropFirst(above.count)
        if let first = rest.first, first.elementsEqual(HuggingFaceView.directoryName.utf8) { return }
        throw SluiceError(
            .usage,
            object: path.description,
            "is inside of the store \(store.path), whose directories hold nothing else",
            remedy: "choose a directory outside of the store, or its directory \(HuggingFaceView.directoryName)"
        )
    }
}
