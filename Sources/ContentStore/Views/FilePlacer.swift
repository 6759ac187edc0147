import Glibc
import SluiceBytes
import SluicePipeline

/// A directory outside of the store, open.
struct PlaceDirectory: Sendable {
    let descriptor: OwnedDescriptor
    let path: LocalPath
    let device: UInt64

    init(_ descriptor: OwnedDescriptor, path: LocalPath) throws(SluiceError) {
        self.descriptor = descriptor
        self.path = path
        do throws(SystemFailure) {
            device = try descriptor.status().device
        } catch {
            throw SluiceError(error, "look at the directory", object: path.description)
        }
    }

    func path(of name: [UInt8]) -> String { path.appending(name).description }
}

/// Puts blobs into directories outside of the store, one file at a time. It remembers what was found out about the
/// store's shards and the destinations' file systems, so a file costs two calls where hard links work. Not for use by
/// two threads at once.
final class FilePlacer {
    /// A blob that is there, and as long as it shall be.
    struct Located {
        let digest: Digest
        let status: FileStatus
        /// Nil where a store that can only be read has it in its trash.
        let entry: StoreEntry?
        let file: OwnedDescriptor?
    }

    let store: ContentStore
    let options: PlacementOptions
    let calls: ViewCalls
    let pool: BufferPool
    private var shards: [StoreName: StoreDirectory] = [:]
    /// The directory that was last linked from, and its path without links.
    private var linkedFrom: (directory: OwnedDescriptor, path: LocalPath?)?
    private lazy var blobsPath = store.layout.blobs.descriptor.realPath ?? store.layout.blobs.path
    private var ways: [UInt64: LinkModes] = [:]
    /// A directory of each file system that got clones, which are not durable yet.
    private var cloned: [UInt64: PlaceDirectory] = [:]
    private var random = SystemRandomNumberGenerator()

    init(_ store: ContentStore, _ options: PlacementOptions, calls: ViewCalls, pool: BufferPool) {
        self.store = store
        self.options = options
        self.calls = calls
        self.pool = pool
    }

    /// How placing a file began.
    enum Beginning {
        case ended(Placement)
        /// `settle` gives it its name.
        case copied(PendingCopy)
    }

    /// Puts a file's blob under `name`. Nothing is visible under that name before it is whole.
    ///
    /// - Throws: `.notFound` if the store does not have the blob, `.digestMismatch` if it is damaged, `.exists` if
    ///   something else has the name, `.unsupported` if no way leads there.
    func place(_ file: Manifest.File, as name: [UInt8], in directory: PlaceDirectory) throws(SluiceError) -> Placement {
        try place(try locate(file), as: name, in: directory)
    }

    func place(_ blob: Located, as name: [UInt8], in directory: PlaceDirectory) throws(SluiceError) -> Placement {
        switch try begin(blob, as: name, in: directory) {
        case .ended(let placement): return placement
        case .copied(let copy): return try settle([copy])[0].get()
        }
    }

    /// The same, but a copy is left for the caller to settle together with others.
    func begin(_ blob: Located, as name: [UInt8], in directory: PlaceDirectory) throws(SluiceError) -> Beginning {
        // A link tells by itself whether the name is taken. A copy should not be made to find that out.
        var looks = modes(of: directory, blob).open.first != .hardlink || options.verify
        // Somebody may take the name, or give it up, between a look and a try.
        for _ in 0..<4 {
            var replaces = false
            if looks {
                let foreseen = try foresee(blob, as: name, in: directory)
                if foreseen == .present { return .ended(.present) }
                replaces = foreseen == .replace
            }
            switch try put(blob, name, directory, replaces: replaces) {
            case .made(let mode): return .ended(replaces ? .replaced(mode) : .placed(mode))
            case .copied(let copy): return .copied(copy)
            case .occupied: looks = true
            }
        }
        throw SluiceError(
            .exists,
            object: directory.path(of: name),
            "another process keeps making this file",
            remedy: "wait until it has ended, then run the command again",
            retry: .backoff
        )
    }

    /// What `place` would do, by what has the name now.
    ///
    /// - Throws: `.exists` if something else has it.
    func foresee(_ blob: Located, as name: [UInt8], in directory: PlaceDirectory) throws(SluiceError) -> Foreseen {
        switch try occupant(of: name, in: directory, blob) {
        case .nobody: return .place
        case .same: return .present
        case .mayGo: return .replace
        case .other(let found):
            guard options.overwrite else { throw occupied(name, directory, found, blob) }
            try checkReplaceable(name, directory)
            return .replace
        }
    }

    /// Makes the clones durable. Their extents are as durable as the blobs, and a file system with reflinks journals
    /// a clone before the name that it got later; so one call for all of them is enough.
    func syncClones() throws(SluiceError) {
        for directory in cloned.values {
            do throws(SystemFailure) {
                try calls.syncFileSystem(directory.descriptor)
            } catch {
                throw SluiceError(error, "make the files durable", object: directory.path.description)
            }
        }
        cloned = [:]
    }

    // MARK: - The blob

    func locate(_ file: Manifest.File) throws(SluiceError) -> Located {
        guard let blob = try find(file.digest) else {
            throw SluiceError(
                .notFound,
                object: "\(file.path)",
                "the store has no blob \(file.digest.hex)",
                remedy: "bring it back: sluice cas repair \(store.path)"
            )
        }
        guard blob.status.size == file.size.bytes else {
            throw SluiceError(
                .digestMismatch,
                object: "\(file.path)",
                "its blob \(file.digest.hex) has \(blob.status.size) bytes in the store, and \(file.size.bytes) are right",
                remedy: "sluice cas scrub \(store.path) sets it aside, "
                    + "then sluice cas repair \(store.path) brings it back"
            )
        }
        return blob
    }

    private func find(_ digest: Digest) throws(SluiceError) -> Located? {
        let name = StoreName.blob(digest)
        if let shard = try shard(digest) {
            let entry = StoreEntry(name, in: shard)
            if let status = try store.files.status(entry), status.kind == .regular {
                return Located(digest: digest, status: status, entry: entry, file: nil)
            }
        }
        // In the trash, perhaps, from where it is linked back.
        guard let found = try store.open(digest) else { return nil }
        var entry: StoreEntry?
        if let shard = try shard(digest) {
            let place = StoreEntry(name, in: shard)
            if try store.files.status(place)?.isSameFile(as: found.status) == true { entry = place }
        }
        return Located(digest: digest, status: found.status, entry: entry, file: found.file)
    }

    private func shard(_ digest: Digest) throws(SluiceError) -> StoreDirectory? {
        let name = StoreName.shard(digest)
        if let known = shards[name] { return known }
        guard let shard = try store.files.directory(name, in: store.layout.blobs) else { return nil }
        shards[name] = shard
        return shard
    }

    func open(_ blob: Located) throws(SluiceError) -> OwnedDescriptor {
        if let file = blob.file { return file }
        // The same file as was looked at: it may have been set aside, or condemned, meanwhile.
        guard let found = try store.open(blob.digest), found.size.bytes == blob.status.size else {
            throw SluiceError(
                .notFound,
                object: blob.entry?.path ?? blob.digest.hex,
                "the blob was there a moment ago",
                retry: .backoff
            )
        }
        return found.file
    }

    /// - Throws: `.digestMismatch` if the bytes are not the blob's.
    func verify(_ file: OwnedDescriptor, _ blob: Located, _ object: String) throws(SluiceError) {
        let found = try hash(file, object)
        if found != blob.digest { throw damaged(blob, found, object) }
    }

    /// The SHA-256 of a file; each chunk is given to `body` as well.
    func hash(
        _ file: OwnedDescriptor,
        _ object: String,
        _ body: (Chunk, UInt64) throws(SluiceError) -> Void = { (_, _) throws(SluiceError) in }
    ) throws(SluiceError) -> Digest {
        try store.files.digest(of: file, pool: pool, object) { (chunk, offset) throws(SluiceError) in
            try checkStopped()
            try body(chunk, offset)
        }.finalized()
    }

    func checkStopped() throws(SluiceError) {
        if options.isStopped() { throw SluiceError(.interrupted, "stopped before every file was there") }
    }

    func damaged(_ blob: Located, _ found: Digest, _ object: String) -> SluiceError {
        SluiceError(
            .digestMismatch,
            object: object,
            "the store's blob \(blob.digest.hex) reads as \(found.hex)",
            remedy: "set it aside and bring a good one: sluice cas scrub \(store.path), "
                + "then sluice cas repair \(store.path)"
        )
    }

    // MARK: - Ways

    func modes(of directory: PlaceDirectory, _ blob: Located) -> (open: [LinkMode], objections: [String]) {
        let known = ways[directory.device] ?? firstWays(directory)
        return known.ways(isSealed: blob.status.permissions & 0o222 == 0, writable: options.writable)
    }

    func failed(_ mode: LinkMode, _ failure: SystemFailure, _ directory: PlaceDirectory) -> LinkModes.Verdict {
        var known = ways[directory.device] ?? firstWays(directory)
        let verdict = known.failed(mode, failure)
        ways[directory.device] = known
        return verdict
    }

    private func firstWays(_ directory: PlaceDirectory) -> LinkModes {
        var modes = LinkModes(options.modes)
        if !options.reflinksOnZFS, ViewCalls.isOnZFS(directory.descriptor) {
            modes.close(.reflink, SystemFailure("clone", ENOTSUP))
        }
        ways[directory.device] = modes
        return modes
    }

    /// What a symbolic link to a blob holds.
    func linkTarget(from directory: PlaceDirectory, to entry: StoreEntry) -> [UInt8] {
        if linkedFrom?.directory !== directory.descriptor {
            linkedFrom = (directory.descriptor, directory.descriptor.realPath)
        }
        let shard = blobsPath.appending(entry.directory.path.baseName)
        return LinkTarget.path(from: linkedFrom?.path, to: shard.appending(entry.name.bytes))
    }

    func noteClone(_ directory: PlaceDirectory) { cloned[directory.device] = directory }

    func temporaryName(_ base: [UInt8]) -> [UInt8] { TemporaryName.make(for: base, random: random.next()) }
}
