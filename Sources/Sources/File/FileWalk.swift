import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Walks a tree depth first, one directory's names in memory per level.
final class FileWalk: Sendable {
    private static let slash = UInt8(ascii: "/")

    private struct Name {
        /// With a trailing `/` for a directory, so that sorting by bytes is the order of S3.
        let bytes: [UInt8]
        let found: Result<FileStatus, SluiceError>
    }

    private struct Level {
        /// Of the directory, with a trailing `/`; empty for the root.
        let prefix: [UInt8]
        let device: UInt64
        let inode: UInt64
        /// In reverse: taken from the end.
        var names: [Name]
    }

    private struct State {
        var hasBegun = false
        var levels: [Level] = []
    }

    private let root: LocalPath
    private let isRecursive: Bool
    private let state = Mutex(State())

    init(_ root: LocalPath, recursive: Bool) {
        self.root = root
        isRecursive = recursive
    }

    /// The next item; nil at the end.
    ///
    /// - Throws: if the root itself cannot be listed.
    func next() throws -> ListingItem? {
        try state.withLock { (state) throws(SluiceError) -> ListingItem? in
            if !state.hasBegun {
                state.hasBegun = true
                if let only = try begin(&state) { return only }
            }
            while let (name, prefix) = takeName(&state) {
                if let item = visit(name, below: prefix, &state) { return item }
            }
            return nil
        }
    }

    /// Opens the root; the item if it is one file.
    private func begin(_ state: inout State) throws(SluiceError) -> ListingItem? {
        let status: FileStatus
        do {
            status = try FileStatus(root.bytes, following: true)
        } catch {
            throw SluiceError(error, "list", object: root.description)
        }
        switch status.kind {
        case .directory:
            state.levels = [try open(root, prefix: [])]
            return nil
        case .regular:
            return .entry(entry([], status, isPrefix: false))
        default:
            throw SluiceError(
                .unsupported,
                object: root.description,
                "this is \(status.kind.rawValue), neither a regular file nor a directory"
            )
        }
    }

    private func visit(_ name: Name, below prefix: [UInt8], _ state: inout State) -> ListingItem? {
        let key = prefix + name.bytes
        let status: FileStatus
        switch name.found {
        case .failure(let error): return .skipped(error)
        case .success(let found): status = found
        }
        switch status.kind {
        case .regular: return .entry(entry(key, status, isPrefix: false))
        case .directory:
            if !isRecursive { return .entry(entry(key, status, isPrefix: true)) }
            return descend(key, status, &state)
        default: return .skipped(skip(root.appending(key), "\(status.kind.rawValue) has no bytes to copy"))
        }
    }

    /// Nil if the directory was entered.
    private func descend(_ key: [UInt8], _ status: FileStatus, _ state: inout State) -> ListingItem? {
        let path = root.appending(key)
        if let circle = state.levels.first(where: { $0.device == status.device && $0.inode == status.inode }) {
            let above = circle.prefix.isEmpty ? root : root.appending(circle.prefix)
            return .skipped(skip(path, "a symbolic link leads in a circle, back to \(above)"))
        }
        do {
            state.levels.append(try open(path, prefix: key))
            return nil
        } catch {
            return .skipped(error)
        }
    }

    private func open(_ path: LocalPath, prefix: [UInt8]) throws(SluiceError) -> Level {
        do {
            let directory = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
            let status = try directory.status()
            let names = try DirectoryNames.read(directory).map { look(at: $0, in: directory, path) }
            let sorted = names.sorted { $1.bytes.lexicographicallyPrecedes($0.bytes) }
            return Level(prefix: prefix, device: status.device, inode: status.inode, names: sorted)
        } catch {
            throw SluiceError(error, "list the directory", object: path.description)
        }
    }

    private func look(at name: [UInt8], in directory: OwnedDescriptor, _ path: LocalPath) -> Name {
        do {
            let status = try FileStatus(name, in: directory, following: true)
            let bytes = status.kind == .directory ? name + [FileWalk.slash] : name
            return Name(bytes: bytes, found: .success(status))
        } catch {
            return Name(bytes: name, found: .failure(explain(error, name, in: directory, path.appending(name))))
        }
    }

    private func explain(
        _ failure: SystemFailure,
        _ name: [UInt8],
        in directory: OwnedDescriptor,
        _ path: LocalPath
    ) -> SluiceError {
        let isLink = (try? FileStatus(name, in: directory).kind) == .symlink
        switch failure.number {
        case ENOENT where isLink: return skip(path, "a symbolic link leads nowhere")
        case ELOOP where isLink: return skip(path, "a symbolic link leads in a circle")
        case ENOENT: return skip(path, "it was removed while the directory was listed")
        default: return SluiceError(failure, "look at it", object: path.description)
        }
    }

    /// The next name of the deepest directory that has one left, and that directory's key.
    private func takeName(_ state: inout State) -> (Name, [UInt8])? {
        while let level = state.levels.indices.last {
            if let name = state.levels[level].names.popLast() { return (name, state.levels[level].prefix) }
            state.levels.removeLast()
        }
        return nil
    }

    private func entry(_ key: [UInt8], _ status: FileStatus, isPrefix: Bool) -> SourceEntry {
        let path = key.isEmpty ? root : root.appending(key)
        return SourceEntry(
            relativeKey: ObjectKey(bytes: key),
            baseName: ObjectKey(bytes: path.baseName),
            size: isPrefix ? nil : status.size,
            modified: isPrefix ? nil : status.modified / 1_000_000_000,
            isPrefix: isPrefix,
            location: path.description + (isPrefix ? "/" : "")
        )
    }

    private func skip(_ path: LocalPath, _ reason: String) -> SluiceError {
        SluiceError(.unsupported, object: path.description, reason)
    }
}
