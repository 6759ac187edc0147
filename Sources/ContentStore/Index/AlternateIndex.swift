import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

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

    private let store: ContentStore
    private let place: AlternatePlace
    /// Nil where none can be kept.
    private let file: Mutex<AlternateFile?>

    private init(_ store: ContentStore, _ place: AlternatePlace, _ file: AlternateFile?) {
        self.store = store
        self.place = place
        self.file = Mutex(file)
    }

    /// Opens the index of a store, after bringing it up to date. Blocks.
    ///
    /// - Parameter directory: on a local disk, for this store alone: `$XDG_STATE_HOME/sluice/<store id>`. It is made if
    ///   it is missing; in one that cannot be written to no name is found, which is told.
    /// - Throws: if the store's manifests cannot be read.
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

    /// What is copied of the index itself in the time of one byte of a manifest.
    private static let lightness: UInt64 = 8

    /// Opens it if that is no more work than to read `limit` bytes of manifests.
    static func open(
        _ store: ContentStore,
        in directory: LocalPath,
        reading limit: UInt64
    ) throws(SluiceError) -> Opening {
        let place = AlternatePlace(directory, store: store.id)
        let manifests = try store.manifestIdentities()
        var kept = AlternateFile(place)
        if let known = kept, !isUseful(known, manifests) { kept = nil }
        if let kept, manifests.allSatisfy(Set(kept.manifests).contains) {
            return .opened(AlternateIndex(store, place, kept))
        }
        if limit != .max {
            let own = kept == nil ? 0 : place.size / lightness
            let cost = own.addingCapped(try store.manifestBytes(but: Set(kept?.manifests ?? [])))
            if cost > limit { return .costs(cost) }
        }
        return .opened(AlternateIndex(store, place, try make(store, place, manifests, keeping: kept)))
    }

    /// What a file knows of removed manifests stays, as long as they are the fewer: their blobs are not found when they
    /// are opened.
    private static func isUseful(_ kept: AlternateFile, _ manifests: [BlobKey]) -> Bool {
        let isCurrent = Set(manifests)
        return kept.manifests.count <= 2 * kept.manifests.count(where: isCurrent.contains)
    }

    /// The blobs of that name, each once; most often none or one. Blocks.
    ///
    /// - Throws: if the file turns out to be damaged and the store's manifests cannot be read.
    package func lookup(kind: String, value: String) throws(SluiceError) -> [Match] {
        let name = AlternateRow.name(kind: kind, value: value)
        guard let file = file.withLock({ $0 }) else { return [] }
        var rows = file.rows(of: name)
        if rows == nil { rows = try made()?.rows(of: name) }
        return (rows ?? []).map { Match(digest: $0.blob.digest, size: ByteCount($0.size)) }
    }

    /// Made anew, in the place of one that is damaged.
    private func made() throws(SluiceError) -> AlternateFile? {
        let manifests = try store.manifestIdentities()
        let made = try AlternateIndex.make(store, place, manifests, keeping: nil)
        file.withLock { $0 = made }
        return made
    }

    /// Reads the manifests that `kept` does not know.
    ///
    /// - Returns: nil if the file cannot be written.
    private static func make(
        _ store: ContentStore,
        _ place: AlternatePlace,
        _ manifests: [BlobKey],
        keeping kept: AlternateFile?
    ) throws(SluiceError) -> AlternateFile? {
        let known = Set(kept?.manifests ?? [])
        do {
            var writer = try AlternateWriter(place, keeping: kept)
            do {
                try store.forEachAlternate(but: known) { writer.append($0) }
                return try writer.finish(manifests: manifests)
            } catch {
                writer.discard()
                throw error
            }
        } catch let error as SluiceError {
            throw error
        } catch {
            // What is kept turned out to be damaged.
            if kept != nil, (error as? SystemFailure)?.number == EBADMSG {
                return try make(store, place, manifests, keeping: nil)
            }
            store.files.notice(.indexNotKept(place.directory.description, reason: "\(error)"))
            return nil
        }
    }
}

extension ContentStore {
    /// Gives `body` a row for each name of each file of all other manifests.
    fileprivate func forEachAlternate(
        but known: Set<BlobKey>,
        _ body: (AlternateRow) -> Void
    ) throws(SluiceError) {
        try forEachIdentified { (identity, name, file, directory) throws(SluiceError) in
            if known.contains(identity) { return }
            _ = try read(name, file, in: directory, as: NamedBlob.self) { files in
                for file in files {
                    for name in file.alternates where name.isLookedFor { body(AlternateRow(name, file.use)) }
                }
            }
        }
    }

    /// What stands for each manifest's file, sorted: the hash of its name, for manifests never change.
    fileprivate func manifestIdentities() throws(SluiceError) -> [BlobKey] {
        var found: [BlobKey] = []
        try forEachIdentified { (identity, _, _, _) throws(SluiceError) in found.append(identity) }
        return found.sorted()
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
