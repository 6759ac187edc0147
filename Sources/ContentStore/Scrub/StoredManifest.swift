import SluiceBytes
import SluicePipeline

/// A file below `refs/`, read without trust.
struct StoredManifest: Sendable {
    enum Content: Sendable {
        case sound(Manifest)
        /// Its bytes are not those that were written under its name.
        case damaged(SluiceError)
        /// No manifest of this program.
        case stray
    }

    let entry: StoreEntry
    let content: Content
}

extension ContentStore {
    /// Gives `body` every file below `refs/`, also those at which `forEachManifest` ends.
    ///
    /// - Throws: for a directory that cannot be listed and a file that cannot be read: what is in it is unknown.
    ///
    /// - Parameter uncached: what the client's cache has of them is dropped first.
    func forEachStoredManifest(
        uncached: Bool = false,
        _ body: (StoredManifest) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachManifestEntry { (kind, name, entry) throws(SluiceError) -> Bool in
            guard let kind, let name else {
                try body(StoredManifest(entry: entry, content: .stray))
                return true
            }
            var content = try storedManifest(entry, kind: kind, name: name, uncached: uncached)
            // A bit can flip on the way as well.
            if uncached, case .damaged = content {
                content = try storedManifest(entry, kind: kind, name: name, uncached: true)
            }
            guard let content else { return false }
            try body(StoredManifest(entry: entry, content: content))
            return true
        }
    }

    /// Gives `body` the name of every file below `refs/`, with its kind's and its model's names, which are nil for one
    /// that lies where a directory should; it says whether it found it there.
    func forEachManifestEntry(
        _ body: (_ kind: StoreName?, _ name: StoreName?, StoreEntry) throws(SluiceError) -> Bool
    ) throws(SluiceError) {
        try forEachDirectory(in: layout.refs, body) { (kind, kinds) throws(SluiceError) in
            try forEachDirectory(in: kinds, body) { (name, names) throws(SluiceError) in
                try forEachMember(of: names) { (file) throws(SluiceError) -> Bool in
                    try body(kind, name, StoreEntry(file, in: names))
                }
            }
        }
    }

    /// Nil if nothing has that name.
    func storedManifest(
        _ entry: StoreEntry,
        kind: StoreName,
        name: StoreName,
        uncached: Bool = false
    ) throws(SluiceError) -> StoredManifest.Content? {
        guard let status = try files.status(entry) else { return nil }
        guard status.kind == .regular, let file = ManifestFileName(entry.name),
            let revision = RevisionName(kind: kind, name: name, revision: file.revision)
        else { return .stray }
        if uncached { try dropCache(of: entry) }
        do throws(SluiceError) {
            return try manifest(revision, file, in: entry.directory).map { .sound($0) }
        } catch {
            // Anything else, a later version or an error of the mount, proves nothing.
            guard [.badAnswer, .digestMismatch].contains(error.code) else { throw error }
            // Bytes that are those of the name were written so, by another program.
            return try isDamaged(entry, file.digest) ? .damaged(error) : .stray
        }
    }

    private func isDamaged(_ entry: StoreEntry, _ expected: Digest) throws(SluiceError) -> Bool {
        guard let (file, _) = try files.open(entry) else { return false }
        return try files.digest(of: file, pool: BufferPool(retained: 1), entry.path).finalized() != expected
    }

    /// A mount that cannot do that is read as it is.
    private func dropCache(of entry: StoreEntry) throws(SluiceError) {
        guard let (file, _) = try files.open(entry) else { return }
        try? files.operations.dropCache(of: file)
    }

    private func forEachDirectory(
        in parent: StoreDirectory,
        _ stray: (StoreName?, StoreName?, StoreEntry) throws(SluiceError) -> Bool,
        _ body: (StoreName, StoreDirectory) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachMember(of: parent) { (name) throws(SluiceError) -> Bool in
            let entry = StoreEntry(name, in: parent)
            guard let status = try files.status(entry) else { return false }
            if status.kind != .directory { return try stray(nil, nil, entry) }
            guard let directory = try files.directory(name, in: parent) else { return false }
            try body(name, directory)
            return true
        }
    }

    /// Every name of a directory that the store can have made; after a miss it is listed again: see `members`.
    private func forEachMember(
        of directory: StoreDirectory,
        _ body: (StoreName) throws(SluiceError) -> Bool
    ) throws(SluiceError) {
        var known: Set<StoreName> = []
        var missed: Set<StoreName> = []
        while true {
            var isComplete = true
            for name in try files.knownNames(in: directory) where !known.contains(name) {
                if try body(name) {
                    known.insert(name)
                } else {
                    guard missed.insert(name).inserted else {
                        throw ContentStore.unopenable(StoreEntry(name, in: directory))
                    }
                    isComplete = false
                }
            }
            if isComplete { return }
        }
    }

    static func unopenable(_ entry: StoreEntry) -> SluiceError {
        SluiceError(
            .unconfirmed,
            object: entry.path,
            "the directory lists it, and it cannot be opened",
            remedy: "run the command again; if it persists, check the server",
            retry: .backoff
        )
    }
}
