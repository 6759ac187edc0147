import Glibc
import SluiceBytes
import SluicePipeline
import Synchronization

/// Walks a tree depth first, one directory's names in memory per level. Each is looked at only when its turn comes.
final class FileWalk: Sendable {
    private static let slash = UInt8(ascii: "/")

    private struct Level {
        /// Of the directory, with a trailing `/`; empty for the root.
        let prefix: [UInt8]
        let device: UInt64
        let inode: UInt64
        var names: PackedNames
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

    private func visit(_ name: [UInt8], below prefix: [UInt8], _ state: inout State) -> ListingItem? {
        let key = prefix + name
        let path = root.appending(key)
        let status: FileStatus
        do {
            status = try FileStatus(path.bytes, following: true)
        } catch {
            return .skipped(explain(error, path))
        }
        guard (status.kind == .directory) == (name.last == FileWalk.slash) else {
            return .skipped(skip(path, "it became \(status.kind.rawValue) while the directory was listed"))
        }
        switch status.kind {
        case .regular: return .entry(entry(key, status, isPrefix: false))
        case .directory:
            if !isRecursive { return .entry(entry(key, status, isPrefix: true)) }
            return descend(key, status, &state)
        default: return .skipped(skip(path, "\(status.kind.rawValue) has no bytes to copy"))
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
            return Level(
                prefix: prefix,
                device: status.device,
                inode: status.inode,
                names: try names(of: directory)
            )
        } catch {
            throw SluiceError(error, "list the directory", object: path.description)
        }
    }

    private func names(of directory: OwnedDescriptor) throws(SystemFailure) -> PackedNames {
        var names = PackedNames()
        try DirectoryNames.forEach(directory) { name, kind in
            let isDirectory =
                switch kind {
                case .directory: true
                case .other: false
                // What cannot be looked at is told of when its turn comes.
                case .unknown: (try? FileStatus(Array(name), in: directory, following: true).kind) == .directory
                }
            names.append(name, isDirectory: isDirectory)
        }
        names.sort()
        return names
    }

    private func explain(_ failure: SystemFailure, _ path: LocalPath) -> SluiceError {
        let isLink = (try? FileStatus(path.bytes).kind) == .symlink
        switch failure.number {
        case ENOENT where isLink: return skip(path, "a symbolic link leads nowhere")
        case ELOOP where isLink: return skip(path, "a symbolic link leads in a circle")
        case ENOENT: return skip(path, "it was removed while the directory was listed")
        default: return SluiceError(failure, "look at it", object: path.description)
        }
    }

    /// The next name of the deepest directory that has one left, and that directory's key.
    private func takeName(_ state: inout State) -> (name: [UInt8], prefix: [UInt8])? {
        while let level = state.levels.indices.last {
            if let name = state.levels[level].names.popFirst() { return (name, state.levels[level].prefix) }
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
