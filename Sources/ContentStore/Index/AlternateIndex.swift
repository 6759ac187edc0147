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

    private init(_ place: AlternatePlace, _ file: AlternateFile, isCurrent: Bool = true) {
        self.place = place
        self.file = file
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
        if let kept, manifests.allSatisfy(Set(kept.manifests).contains) { return .opened(AlternateIndex(place, kept)) }
        if limit != .max {
            let own = kept == nil ? 0 : place.size / lightness
            let cost = own.addingCapped(try store.manifestBytes(but: Set(kept?.manifests ?? [])))
            if cost > limit { return .costs(cost) }
        }
        do throws(SluiceError) {
            return .opened(AlternateIndex(place, try make(store, place, keeping: &kept)))
        } catch {
            guard let kept else { throw error }
            store.files.notice(.indexIsOld("\(error)"))
            return .opened(AlternateIndex(place, kept, isCurrent: false))
        }
    }

    /// What a file knows of removed manifests stays, as long as they are the fewer: their blobs are not found when they
    /// are opened.
    private static func isUseful(_ kept: AlternateFile, _ manifests: [BlobKey]) -> Bool {
        let isCurrent = Set(manifests)
        return kept.manifests.count <= 2 * kept.manifests.count(where: isCurrent.contains)
    }

    /// The blobs of that name, each once; most often none or one. Blocks.
    ///
    /// - Throws: if the file turns out to be damaged; the next that is opened is another.
    package func lookup(kind: String, value: String) throws(IndexDamage) -> [Match] {
        guard let rows = file.rows(of: AlternateRow.name(kind: kind, value: value)) else {
            file.remove(from: place)
            throw IndexDamage()
        }
        return rows.map { Match(digest: $0.blob.digest, size: ByteCount($0.size)) }
    }

    /// Reads the manifests that `kept` does not know.
    ///
    /// - Parameter kept: nil afterwards if it is damaged.
    private static func make(
        _ store: ContentStore,
        _ place: AlternatePlace,
        keeping kept: inout AlternateFile?
    ) throws(SluiceError) -> AlternateFile {
        func attempt<R>(_ body: () throws(SystemFailure) -> R) throws(SluiceError) -> R {
            try store.files.attempt("write the index of names", place.directory.description, body)
        }
        let known = kept
        var writer = try attempt { () throws(SystemFailure) in try AlternateWriter(place, keeping: known) }
        // With what is gone, so that it shows when that is the more.
        var manifests = Set(known?.manifests ?? [])
        do throws(SluiceError) {
            manifests.formUnion(
                try store.readAlternates(but: manifests) { (row) throws(SluiceError) in
                    try attempt { () throws(SystemFailure) in try writer.append(row) }
                }
            )
            return try attempt { () throws(SystemFailure) in try writer.finish(manifests: manifests.sorted()) }
        } catch {
            guard writer.metDamage, kept != nil else { throw error }
            kept = nil
            return try make(store, place, keeping: &kept)
        }
    }
}

/// A part of the index is not what was written there.
package struct IndexDamage: Error {}

extension ContentStore {
    /// Gives `body` a row for each name of each file of all other manifests.
    ///
    /// - Returns: the manifests that were read.
    fileprivate func readAlternates(
        but known: Set<BlobKey>,
        _ body: (AlternateRow) throws(SluiceError) -> Void
    ) throws(SluiceError) -> [BlobKey] {
        var read: [BlobKey] = []
        try forEachIdentified { (identity, name, file, directory) throws(SluiceError) in
            if known.contains(identity) { return }
            let nonce = try self.read(name, file, in: directory, as: NamedBlob.self) { (files) throws(SluiceError) in
                for file in files {
                    for name in file.alternates where name.isLookedFor { try body(AlternateRow(name, file.use)) }
                }
            }
            if nonce != nil { read.append(identity) }
        }
        return read
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
