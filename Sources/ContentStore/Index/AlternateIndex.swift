import SluiceBytes
import SluicePipeline

/// Which blobs a publisher's other names (`git-sha1`, `etag`, …) have stood for, on this machine's own disk.
///
/// Only a hint: it never says that a blob is there, or what a store holds. Whoever gets an answer opens the blob and
/// compares its size. A file that is damaged, of another store or behind the times is made again from the manifests. One
/// of any length takes little memory.
package final class AlternateIndex: Sendable {
    /// A blob that some manifest has under the name that was looked for.
    package struct Match: Hashable, Sendable {
        package let digest: Digest
        package let size: ByteCount
    }

    /// Whether it knows all that the manifests had when it was opened: that nothing else has a name, only such a one tells.
    package let isCurrent: Bool
    private let place: AlternatePlace
    private let file: AlternateFile
    /// Which of the file's manifests the store had when it was opened: what a removed tree said is forgotten.
    private let present: [Bool]

    /// - Parameter manifests: those of the store; nil if they are the file's.
    private init(
        _ place: AlternatePlace,
        _ file: AlternateFile,
        _ manifests: Set<BlobKey>? = nil,
        isCurrent: Bool = true
    ) {
        self.place = place
        self.file = file
        present = file.manifests.map { $0 != AlternateIndex.none && manifests?.contains($0) ?? true }
        self.isCurrent = isCurrent
    }

    /// Opens the index of a store, after bringing it up to date. Blocks.
    ///
    /// - Parameter directory: on a local disk, for this store alone: `$XDG_STATE_HOME/sluice/<store id>`. It is made if
    ///   it is missing.
    /// - Throws: if the store's manifests cannot be read, or there is no index and none can be written.
    package static func open(_ store: ContentStore, in directory: LocalPath) throws(SluiceError) -> AlternateIndex {
        guard case .opened(let index) = try open(store, in: directory, reading: .max) else {
            preconditionFailure("no manifests have more bytes than a number can tell")
        }
        return index
    }

    /// What came of opening it.
    enum Opening: Sendable {
        case opened(AlternateIndex)
        /// It would be as much work as to read so many bytes of manifests.
        case costs(UInt64)
    }

    /// In the place of a manifest that was gone before all of it was read.
    fileprivate static let none = BlobKey(words: (0, 0, 0, 0))

    /// What is copied of the index itself in the time of one byte of a manifest.
    private static let lightness: UInt64 = 8

    /// Opens it if that is no more work than to read `limit` bytes of manifests.
    static func open(
        _ store: ContentStore,
        in directory: LocalPath,
        reading limit: UInt64
    ) throws(SluiceError) -> Opening {
        let place = AlternatePlace(directory, store: store.id)
        let manifests = Set(try store.manifestIdentities())
        var kept = AlternateFile(place)
        if let kept, manifests.isSubset(of: kept.manifests) { return .opened(AlternateIndex(place, kept, manifests)) }
        if limit != .max {
            let own = kept == nil ? 0 : place.size / lightness
            let cost = own.addingCapped(try store.manifestBytes(but: Set(kept?.manifests ?? [])))
            if cost > limit { return .costs(cost) }
        }
        do throws(SluiceError) {
            return .opened(AlternateIndex(place, try make(store, place, manifests, keeping: &kept)))
        } catch {
            guard let kept else { throw error }
            store.files.notice(.indexIsOld("\(error)"))
            return .opened(AlternateIndex(place, kept, manifests, isCurrent: false))
        }
    }

    /// The blobs of that name, each once; most often none or one. Blocks.
    ///
    /// - Throws: if the file turns out to be damaged; the next that is opened is another.
    package func lookup(kind: String, value: String) throws(IndexDamage) -> [Match] {
        guard let rows = file.rows(of: AlternateRow.name(kind: kind, value: value)) else {
            file.remove(from: place)
            throw IndexDamage()
        }
        var matches: [Match] = []
        for row in rows where isThere(row.manifest) {
            // Sorted: the same of several manifests come one after the other.
            let match = Match(digest: row.blob.digest, size: ByteCount(row.size))
            if matches.last != match { matches.append(match) }
        }
        return matches
    }

    private func isThere(_ manifest: UInt32) -> Bool {
        file.manifests.indices.contains(Int(manifest)) && present[Int(manifest)]
    }

    /// Reads the manifests that `kept` does not know, and leaves out what it has of those that are gone.
    ///
    /// - Parameter kept: nil afterwards if it is damaged.
    private static func make(
        _ store: ContentStore,
        _ place: AlternatePlace,
        _ manifests: Set<BlobKey>,
        keeping kept: inout AlternateFile?
    ) throws(SluiceError) -> AlternateFile {
        func attempt<R>(_ body: () throws(SystemFailure) -> R) throws(SluiceError) -> R {
            try store.files.attempt("write the index of names", place.directory.description, body)
        }
        let known = kept
        var list: [BlobKey] = []
        let places = known?.manifests.map { manifest -> UInt32? in
            guard manifests.contains(manifest) else { return nil }
            list.append(manifest)
            return UInt32(list.count - 1)
        }
        var writer = try attempt { () throws(SystemFailure) in
            try AlternateWriter(place, keeping: known, places: places ?? [])
        }
        do throws(SluiceError) {
            try store.readAlternates(listing: &list) { (row) throws(SluiceError) in
                try attempt { () throws(SystemFailure) in try writer.append(row) }
            }
            return try attempt { () throws(SystemFailure) in try writer.finish(manifests: list) }
        } catch {
            guard writer.metDamage, kept != nil else { throw error }
            kept = nil
            return try make(store, place, manifests, keeping: &kept)
        }
    }
}

/// A part of the index is not what was written there.
package struct IndexDamage: Error {}

extension ContentStore {
    /// Gives `body` a row for each name of each file of all manifests that are not in `list`, and adds them to it.
    fileprivate func readAlternates(
        listing list: inout [BlobKey],
        _ body: (AlternateRow) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        let known = Set(list)
        try forEachIdentified { (identity, name, file, directory) throws(SluiceError) in
            if known.contains(identity) { return }
            let place = UInt32(list.count)
            list.append(identity)
            let nonce = try self.read(name, file, in: directory, as: NamedBlob.self) { (files) throws(SluiceError) in
                for file in files {
                    for name in file.alternates where name.isLookedFor {
                        try body(AlternateRow(name, file.use, of: place))
                    }
                }
            }
            // Removed meanwhile, perhaps in the midst: should it come back, it is to be read.
            if nonce == nil { list[Int(place)] = AlternateIndex.none }
        }
    }

    /// What stands for each manifest's file: the hash of its name, for manifests never change.
    fileprivate func manifestIdentities() throws(SluiceError) -> [BlobKey] {
        var found: [BlobKey] = []
        try forEachIdentified { (identity, _, _, _) throws(SluiceError) in found.append(identity) }
        return found
    }

    /// How many bytes all other manifests have.
    fileprivate func manifestBytes(but known: Set<BlobKey>) throws(SluiceError) -> UInt64 {
        var bytes: UInt64 = 0
        try forEachIdentified { (identity, _, file, directory) throws(SluiceError) in
            guard !known.contains(identity) else { return }
            bytes = bytes.addingCapped(try files.status(StoreEntry(file.name, in: directory))?.size ?? 0)
        }
        return bytes
    }

    /// Gives `body` each manifest's identity, and what it is read by.
    fileprivate func forEachIdentified(
        _ body: (BlobKey, RevisionName, ManifestFileName, StoreDirectory) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let path = name.kindDirectory.bytes + [0] + name.nameDirectory.bytes + [0] + file.name.bytes
            try body(BlobKey(path.withUnsafeBytes { SHA256.hash($0) }), name, file, directory)
            return true
        }
    }
}
