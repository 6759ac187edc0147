import SluiceBytes

/// The files of one revision, as all of its manifests together tell. The same for every reader: it depends on what the
/// manifests say, not on when and by whom they were written.
package struct Tree: Hashable, Sendable {
    package let name: RevisionName
    /// In the order of their paths, each path once.
    package let files: [Manifest.File]
    /// How many manifests there are; `StoreWriter.merge` makes one of many.
    package let manifests: Int

    /// Nil of no manifests.
    init?(_ name: RevisionName, _ manifests: [Manifest]) {
        guard let first = manifests.first else { return nil }
        self.name = name
        self.manifests = manifests.count
        guard manifests.count > 1 else {
            files = first.files
            return
        }
        var current: [ObjectKey: Manifest.File] = [:]
        for file in manifests.lazy.flatMap(\.files) {
            if let other = current[file.path], !Tree.replaces(file, other) { continue }
            current[file.path] = file
        }
        files = current.values.sorted { $0.path < $1.path }
    }

    /// Two hosts may replace a file at once, each with the next generation: then its digest decides, whatever it is.
    static func replaces(_ file: Manifest.File, _ other: Manifest.File) -> Bool {
        (file.generation, BlobKey(file.digest)) > (other.generation, BlobKey(other.digest))
    }

    /// The file of a path; nil if the tree has none.
    package func file(_ path: ObjectKey) -> Manifest.File? {
        var range = files.indices
        while let middle = range.isEmpty ? nil : range.lowerBound + range.count / 2 {
            if files[middle].path == path { return files[middle] }
            range = files[middle].path < path ? middle + 1..<range.upperBound : range.lowerBound..<middle
        }
        return nil
    }

    /// Bytes of all files, each counted as often as it is there.
    package var size: ByteCount { ByteCount(files.reduce(0) { $0.addingCapped($1.size.bytes) }) }
}
