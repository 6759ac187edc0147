import Glibc
import SluiceBytes
import SluicePipeline

/// Brings files of a user into the store: hashed in the one pass that copies them, or cloned first and hashed as a clone.
/// What a file's name says of its bytes is checked, never believed. Not for use by two threads at once.
///
/// An import takes long: the caller renews the writer's lease meanwhile.
package final class BlobImporter {
    /// Which file, and that it has not changed since.
    struct Identity: Hashable {
        let device: UInt64
        let inode: UInt64
        let size: UInt64
        let modified: Int64

        init(_ status: FileStatus) {
            device = status.device
            inode = status.inode
            size = status.size
            modified = status.modified
        }
    }

    /// What one pass over a file's bytes has shown.
    struct Facts {
        let digest: Digest
        let size: ByteCount
        let gitSHA1: String?
    }

    /// A file on its way: staged, or hashed only because the store has its bytes.
    struct Arrival {
        let facts: Facts
        let staged: Staged?
    }

    /// A staged file, how it came to be, and the user's file that it came from, as that was.
    struct Staged {
        let blob: StagedBlob
        let mode: LinkMode
        let file: OwnedDescriptor
        let status: FileStatus
        let location: String
    }

    /// Files of one inode are read once, up to this many inodes.
    private static let remembered = 100_000

    let writer: StoreWriter
    let options: ImportOptions
    private let calls: ViewCalls
    private let pool: BufferPool
    private var modes: LinkModes
    private var known: [Identity: Facts] = [:]

    /// - Throws: `.usage` if no way is allowed, or a symbolic link: a blob is never one.
    package init(
        _ writer: StoreWriter,
        _ options: ImportOptions = ImportOptions(),
        calls: ViewCalls = ViewCalls(),
        pool: BufferPool
    ) throws(SluiceError) {
        guard !options.modes.isEmpty, !options.modes.contains(.symlink) else {
            throw SluiceError(
                .usage,
                object: writer.store.path.description,
                "files come into a store as a reflink, a hard link or a copy",
                remedy: "use --link reflink, hardlink or copy"
            )
        }
        self.writer = writer
        self.options = options
        self.calls = calls
        self.pool = pool
        modes = LinkModes(options.modes)
    }

    /// Opens the directory to import.
    ///
    /// - Throws: `.usage` if it is the store's own.
    func root(_ path: LocalPath) throws(SluiceError) -> ImportRoot {
        try StoreOverlap.refuse(path, writer.store)
        return try ImportRoot(path)
    }

    /// A file's version, for people.
    private static func told(_ status: FileStatus) -> String {
        let (seconds, nanoseconds) = status.modified.quotientAndRemainder(dividingBy: 1_000_000_000)
        return "\(status.size) bytes of \(DateText.utc(seconds)) and \(nanoseconds) ns"
    }

    func checkStopped() throws(SluiceError) {
        if options.isStopped() { throw SluiceError(.interrupted, "stopped before everything was imported") }
    }

    /// Reads an open file, once, and stages it unless the store has its bytes.
    ///
    /// - Throws: `.digestMismatch` if its bytes are not what its name says, `.sourceChanged` if it is being written to.
    func take(_ candidate: ImportCandidate, _ file: OwnedDescriptor, _ location: String) throws(SluiceError) -> Arrival
    {
        let status = try self.status(of: file, location)
        if let size = candidate.size, size.bytes != status.size {
            throw SluiceError(
                .digestMismatch,
                object: location,
                "has \(status.size) bytes, and \(size.bytes) are said to be right",
                remedy: "fetch it again with the program that it belongs to"
            )
        }
        if let facts = known[Identity(status)], candidate.isAnswered(by: facts) {
            return Arrival(facts: facts, staged: nil)
        }
        let arrival = try read(candidate, file, status, location)
        do throws(SluiceError) {
            try check(candidate, arrival.facts, location)
        } catch {
            if let staged = arrival.staged { drop(staged) }
            throw error
        }
        if known.count >= BlobImporter.remembered { known = [:] }
        known[Identity(status)] = arrival.facts
        return arrival
    }

    /// A file that was taken and then not published is to be read again.
    func forget() { known = [:] }

    private func status(of file: OwnedDescriptor, _ location: String) throws(SluiceError) -> FileStatus {
        let status: FileStatus
        do throws(SystemFailure) {
            status = try file.status()
        } catch {
            throw SluiceError(error, "look at the file", object: location)
        }
        guard status.kind == .regular else {
            throw SluiceError(.unsupported, object: location, "\(status.kind.rawValue) is not imported")
        }
        return status
    }

    private func check(
        _ candidate: ImportCandidate,
        _ facts: Facts,
        _ location: String
    ) throws(SluiceError) {
        let (name, said, found): (String, String, String)
        switch candidate.claim {
        case .none: return
        case .sha256(let digest): (name, said, found) = ("SHA-256", digest.hex, facts.digest.hex)
        case .gitSHA1(let hex): (name, said, found) = ("Git blob SHA-1", hex, facts.gitSHA1 ?? "unknown")
        }
        guard said != found else { return }
        throw SluiceError(
            .digestMismatch,
            object: location,
            "its name says \(name) \(said), and its bytes have \(found)",
            remedy: "it is damaged: fetch it again with the program that it belongs to"
        )
    }

    // MARK: - One pass

    private func read(
        _ candidate: ImportCandidate,
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        _ location: String
    ) throws(SluiceError) -> Arrival {
        let git = candidate.needsGitSHA1(size: status.size) ? RunningDigest(.gitSHA1, size: status.size) : nil
        // The caller has pinned what names say, so what is there now stays.
        if case .sha256(let digest) = candidate.claim, let found = try writer.store.open(digest),
            found.size.bytes == status.size
        {
            return Arrival(facts: try hash(file, status, git, location), staged: nil)
        }
        let ways = modes.ways(isSealed: true, writable: false)
        for mode in ways.open {
            guard let blob = try stage(mode, file, status, location) else { continue }
            let staged = Staged(blob: blob, mode: mode, file: file, status: status, location: location)
            do throws(SluiceError) {
                let facts =
                    mode == .copy
                    ? try copy(file, status, into: blob, git, location)
                    // A clone is hashed as it stands in the store; a file that is linked may still be written to.
                    : try hash(blob.file, mode == .reflink ? nil : status, git, location)
                return Arrival(facts: facts, staged: staged)
            } catch {
                drop(staged)
                throw error
            }
        }
        throw SluiceError(
            .unsupported,
            object: location,
            "no way that is allowed leads from here into the store \(writer.store.path)",
            remedy: "allow a copy: --link copy"
        )
    }

    /// A staged file with the bytes, or an empty one for a copy. Nil if this way is none for this file.
    private func stage(
        _ mode: LinkMode,
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        _ location: String
    ) throws(SluiceError) -> StagedBlob? {
        switch mode {
        case .copy: return try writer.stage()
        case .reflink: return try clone(file, location)
        // Only the owner can make it read-only.
        case .hardlink: return geteuid() == 0 || status.owner == geteuid() ? try link(file, status, location) : nil
        case .symlink: return nil
        }
    }

    /// Gives a file up that is not what it should be, or was not published; one that was linked is the user's, with the
    /// mode that it had.
    func drop(_ staged: Staged) {
        try? staged.blob.discard()
        restoreMode(of: staged)
    }

    /// A user's file that did not become a blob is as it was.
    func restoreMode(of staged: Staged) {
        let before = staged.status
        // With one name more than it had it has become a blob, although nobody could say so.
        guard staged.mode == .hardlink, let now = try? staged.file.status(), now.links <= before.links else { return }
        try? writer.files.setMode(before.permissions, of: staged.file, staged.location)
    }

    private func clone(_ file: OwnedDescriptor, _ location: String) throws(SluiceError) -> StagedBlob? {
        let staged = try writer.stage()
        do throws(SystemFailure) {
            try calls.clone(file, staged.file)
            return staged
        } catch {
            try staged.discard()
            if modes.failed(.reflink, error) == .next { return nil }
            throw SluiceError(error, "clone into the store", object: location)
        }
    }

    private func link(
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        _ location: String
    ) throws(SluiceError) -> StagedBlob? {
        let entry = writer.temporary(".part")
        do throws(SystemFailure) {
            try calls.linkFile(file, (entry.name.bytes, entry.directory.descriptor))
        } catch {
            if modes.failed(.hardlink, error) == .next { return nil }
            throw SluiceError(error, "link into the store", object: location)
        }
        // Before it is hashed: from here on nobody opens it for writing.
        try writer.files.setMode(writer.files.modes.blob, of: file, location)
        return StagedBlob(entry: entry, file: file, files: writer.files)
    }

    private func copy(
        _ file: OwnedDescriptor,
        _ status: FileStatus,
        into blob: StagedBlob,
        _ git: RunningDigest?,
        _ location: String
    ) throws(SluiceError) -> Facts {
        try hash(file, status, git, location) { (chunk, offset) throws(SluiceError) in
            try blob.write(chunk, at: offset)
        }
    }

    /// - Parameter unchanged: what the file was when it was opened, and must be at the end; nil for a file of our own.
    private func hash(
        _ file: OwnedDescriptor,
        _ unchanged: FileStatus?,
        _ git: RunningDigest?,
        _ location: String,
        _ body: (Chunk, UInt64) throws(SluiceError) -> Void = { (_, _) throws(SluiceError) in }
    ) throws(SluiceError) -> Facts {
        let hash = try writer.files.digest(of: file, pool: pool, location) { (chunk, offset) throws(SluiceError) in
            try checkStopped()
            git?.update(chunk)
            try body(chunk, offset)
        }
        if let unchanged {
            let now = try status(of: file, location)
            guard now.size == hash.count, now.modified == unchanged.modified, now.size == unchanged.size else {
                throw SluiceError(
                    .sourceChanged,
                    object: location,
                    "it changed while it was read: \(Self.told(unchanged)) before, \(Self.told(now)) after",
                    remedy: "import it again when nothing writes to it"
                )
            }
        }
        return Facts(digest: hash.finalized(), size: ByteCount(hash.count), gitSHA1: git?.finish().hex)
    }
}

extension ImportCandidate {
    /// Whether an earlier pass over the same file has found all that this one would, and it was right.
    fileprivate func isAnswered(by facts: BlobImporter.Facts) -> Bool {
        switch claim {
        case .none: facts.gitSHA1 != nil || !needsGitSHA1(size: facts.size.bytes)
        case .sha256(let digest): digest == facts.digest
        case .gitSHA1(let hex): hex == facts.gitSHA1
        }
    }

    fileprivate func needsGitSHA1(size: UInt64) -> Bool {
        if case .gitSHA1 = claim { return true }
        return wantsGitSHA1 && size <= HuggingFaceEtag.largestInGit.bytes
    }
}
