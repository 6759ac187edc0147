import Glibc
import SluiceBytes
import SluicePipeline

/// A directory of the user's that is imported. Nothing outside of it is ever opened, whatever links lie in it.
struct ImportRoot {
    /// What lies below a directory: a name, and what it is.
    struct Entry {
        /// Below the root.
        let place: [UInt8]
        let kind: FileStatus.Kind
    }

    /// Deeper trees, and larger ones, are no revision: a manifest would not hold them.
    static let deepest = 64
    static let most = 1_000_000

    let path: LocalPath
    private let directory: OwnedDescriptor

    /// - Parameter path: links in it are followed: it is the user's.
    init(_ path: LocalPath) throws(SluiceError) {
        self.path = path
        do throws(SystemFailure) {
            directory = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_DIRECTORY)
        } catch {
            throw SluiceError(error, "open the directory to import", object: path.description)
        }
    }

    func location(_ place: [UInt8]) -> String { path.appending(place).description }

    /// The same for a machine; nil for a name that can only be shown.
    func source(_ place: [UInt8]) -> String? {
        let whole = path.appending(place)
        return whole.description.utf8.elementsEqual(whole.bytes) ? whole.description : nil
    }

    /// For reading; never blocks on a pipe.
    ///
    /// - Throws: `.unsafeName` if a symbolic link stands in the way, or with `followingLinks` one that leads out.
    func open(_ place: [UInt8], followingLinks: Bool) throws(SluiceError) -> OwnedDescriptor {
        try open(place, O_RDONLY | O_NONBLOCK, followingLinks: followingLinks)
    }

    private func open(_ place: [UInt8], _ flags: Int32, followingLinks: Bool) throws(SluiceError) -> OwnedDescriptor {
        do throws(SystemFailure) {
            return try directory.openBeneath(place, flags, followingLinks: followingLinks)
        } catch {
            throw failure(error, place)
        }
    }

    private func openDirectory(_ place: [UInt8]) throws(SluiceError) -> OwnedDescriptor {
        place.isEmpty ? directory : try open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, followingLinks: false)
    }

    private func failure(_ error: SystemFailure, _ place: [UInt8]) -> SluiceError {
        switch error.number {
        case EXDEV:
            SluiceError(
                .unsafeName,
                object: location(place),
                "a symbolic link leads out of \(path)",
                remedy: "import the directory that it leads to, or remove the link"
            )
        case ENOSYS:
            SluiceError(
                .unsupported,
                object: location(place),
                "this kernel cannot open files below a directory only (openat2, Linux 5.6)",
                remedy: "import on a host with a newer kernel"
            )
        default: SluiceError(error, "open", object: location(place))
        }
    }

    /// The names in a directory, sorted; empty if it is missing.
    func names(in place: [UInt8]) throws(SluiceError) -> [[UInt8]] {
        do throws(SluiceError) {
            return try list(try openDirectory(place), place).map { $0.name }
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    /// Everything below a directory that is no directory, in the order of its path.
    ///
    /// - Throws: `.limit` if that is too much or too deep.
    func files(below place: [UInt8]) throws(SluiceError) -> [Entry] {
        var files: [Entry] = []
        var pending = [place]
        while let next = pending.popLast() {
            for (name, kind) in try list(try openDirectory(next), next) {
                let below = ImportRoot.join(next, name)
                if kind == .directory { pending.append(below) } else { files.append(Entry(place: below, kind: kind)) }
            }
            let depth = next.count { $0 == UInt8(ascii: "/") }
            guard files.count + pending.count <= ImportRoot.most, depth <= ImportRoot.deepest else {
                throw SluiceError(
                    .limit,
                    object: location(next),
                    "\(files.count) files, \(depth) directories deep: a revision has at most \(ImportRoot.most) files, "
                        + "\(ImportRoot.deepest) deep",
                    remedy: "import parts of the tree, each under a name of its own"
                )
            }
        }
        return files.sorted { $0.place.lexicographicallyPrecedes($1.place) }
    }

    private func list(
        _ opened: OwnedDescriptor,
        _ place: [UInt8]
    ) throws(SluiceError) -> [(name: [UInt8], kind: FileStatus.Kind)] {
        let entries = try statuses(opened, place)
        guard entries.contains(where: { $0.name == StoreMarker.name.bytes }) else { return entries }
        throw SluiceError(
            .usage,
            object: location(place),
            "is a content store, and its files are no user's",
            remedy: "copy its trees instead: sluice cp -r cas:\(location(place))/NAME/ TARGET"
        )
    }

    private func statuses(
        _ opened: OwnedDescriptor,
        _ place: [UInt8]
    ) throws(SluiceError) -> [(name: [UInt8], kind: FileStatus.Kind)] {
        do throws(SystemFailure) {
            var entries: [(name: [UInt8], kind: FileStatus.Kind)] = []
            for name in try DirectoryNames.read(opened) {
                do throws(SystemFailure) {
                    entries.append((name, try FileStatus(name, in: opened).kind))
                } catch {
                    // It went away meanwhile.
                    if error.number != ENOENT { throw error }
                }
            }
            return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        } catch {
            throw SluiceError(error, "list", object: location(place))
        }
    }

    /// What a symbolic link holds.
    func destination(ofLink place: [UInt8]) throws(SluiceError) -> [UInt8] {
        let slash = UInt8(ascii: "/")
        let name = Array(place.reversed().prefix { $0 != slash }.reversed())
        let parent = Array(place.dropLast(name.count + 1))
        let opened = try openDirectory(parent)
        do throws(SystemFailure) {
            return try opened.destination(ofLink: name)
        } catch {
            throw SluiceError(error, "read the link", object: location(place))
        }
    }

    /// A small file's bytes.
    ///
    /// - Throws: `.badAnswer` if it is longer than `limit`.
    func read(_ place: [UInt8], limit: ByteCount) throws(SluiceError) -> [UInt8] {
        let file = try open(place, followingLinks: false)
        let bytes: [UInt8]
        do throws(SystemFailure) {
            guard try file.status().kind == .regular else { throw SystemFailure("open", EINVAL) }
            // One byte more than allowed: what is too long is seen, not cut.
            bytes = try SystemOperations().bytes(of: file, limit: Int(limit.bytes) + 1)
        } catch {
            throw SluiceError(error, "read", object: location(place))
        }
        guard bytes.count <= limit.bytes else {
            throw SluiceError(
                .badAnswer,
                object: location(place),
                "is longer than \(limit.bytes) bytes, and such a file never is",
                remedy: "remove it"
            )
        }
        return bytes
    }

    static func join(_ directory: [UInt8], _ name: [UInt8]) -> [UInt8] {
        directory.isEmpty ? name : directory + [UInt8(ascii: "/")] + name
    }
}
