import Glibc
import SluiceBytes
import SluicePipeline

extension FilePlacer {
    /// How trying to put a file ended.
    enum Try {
        case made(LinkMode)
        /// It has its bytes, and not yet its name.
        case copied(PendingCopy)
        /// Something has the name by now.
        case occupied
    }

    private enum Attempt {
        case ended(Try)
        case cannot(SystemFailure)
    }

    /// Tries the ways in turn.
    func put(
        _ blob: Located,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        replaces: Bool
    ) throws(SluiceError) -> Try {
        let ways = modes(of: directory, blob)
        var objections = ways.objections
        let object = directory.path(of: name)
        if replaces { try checkReplaceable(name, directory) }
        for mode in ways.open {
            switch try attempt(mode, blob, name, directory, replaces) {
            case .ended(let end): return end
            case .cannot(let failure):
                guard failed(mode, failure, directory) == .next else {
                    throw SluiceError(failure, "make the file (\(mode.rawValue))", object: object)
                }
                objections.append("\(mode.rawValue): \(failure.reason)")
            }
        }
        throw SluiceError(
            .unsupported,
            object: object,
            "no way that is allowed leads from the store to this file (\(objections.joined(separator: "; ")))",
            remedy: "allow a copy: --link copy"
        )
    }

    func checkReplaceable(_ name: [UInt8], _ directory: PlaceDirectory) throws(SluiceError) {
        guard let kind = (try? FileStatus(name, in: directory.descriptor))?.kind else { return }
        guard kind == .regular || kind == .symlink else {
            throw SluiceError(
                .exists,
                object: directory.path(of: name),
                "\(kind.rawValue) has the name of the file",
                remedy: "remove it: only regular files and symbolic links are replaced"
            )
        }
    }

    private func attempt(
        _ mode: LinkMode,
        _ blob: Located,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ replaces: Bool
    ) throws(SluiceError) -> Attempt {
        switch mode {
        case .hardlink, .symlink:
            guard let entry = blob.entry else { return .cannot(SystemFailure("link", ENOTSUP)) }
            if options.verify { try verify(try open(blob), blob, directory.path(of: name)) }
            return try link(mode, entry, name, directory, replaces)
        case .reflink: return try clone(blob, name, directory, replaces)
        case .copy: return .ended(.copied(try copy(blob, name, directory, replaces)))
        }
    }

    // MARK: - Links

    private func link(
        _ mode: LinkMode,
        _ entry: StoreEntry,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ replaces: Bool
    ) throws(SluiceError) -> Attempt {
        let at = replaces ? temporaryName(name) : name
        do throws(SystemFailure) {
            if mode == .hardlink {
                let from: ViewCalls.Name = (entry.name.bytes, entry.directory.descriptor)
                try calls.link(from, (at, directory.descriptor))
            } else {
                try calls.symlink(linkTarget(from: directory, to: entry), (at, directory.descriptor))
            }
        } catch {
            return error.number == EEXIST ? .ended(.occupied) : .cannot(error)
        }
        if replaces { try replace(at, name, directory) }
        return .ended(.made(mode))
    }

    private func replace(_ temporary: [UInt8], _ name: [UInt8], _ directory: PlaceDirectory) throws(SluiceError) {
        // rename(2) of two names of one file does nothing: then the temporary one is still there afterwards.
        defer { try? directory.descriptor.unlink(temporary) }
        do throws(SystemFailure) {
            CrashPoint.step()
            try directory.descriptor.rename(temporary, to: name)
            CrashPoint.step()
        } catch {
            throw SluiceError(error, "replace the file", object: directory.path(of: name))
        }
    }

    // MARK: - Files of their own

    private func clone(
        _ blob: Located,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ replaces: Bool
    ) throws(SluiceError) -> Attempt {
        let source = try open(blob)
        let copy = try temporary(blob, name, directory, replaces)
        // Gone already where it was published.
        defer { copy.discard() }
        do throws(SystemFailure) {
            try calls.clone(source, copy.file)
        } catch {
            return .cannot(error)
        }
        if options.verify { try verify(copy.file, blob, copy.object) }
        try setMode(copy)
        noteClone(directory)
        return .ended(try publish(copy) ? .made(.reflink) : .occupied)
    }

    private func copy(
        _ blob: Located,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ replaces: Bool
    ) throws(SluiceError) -> PendingCopy {
        let source = try open(blob)
        let copy = try temporary(blob, name, directory, replaces)
        do throws(SluiceError) {
            let found = try hash(source, copy.object) { (chunk, offset) throws(SluiceError) in
                do throws(SystemFailure) {
                    try chunk.withBytes { (bytes) throws(SystemFailure) in try copy.file.write(bytes, at: offset) }
                } catch {
                    throw SluiceError(error, "write", object: copy.object)
                }
            }
            if found != blob.digest { throw damaged(blob, found, copy.object) }
            try setMode(copy)
            return copy
        } catch {
            copy.discard()
            throw error
        }
    }

    private func temporary(
        _ blob: Located,
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ replaces: Bool
    ) throws(SluiceError) -> PendingCopy {
        let temporary = temporaryName(name)
        do throws(SystemFailure) {
            let flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW
            let file = try OwnedDescriptor.open(temporary, in: directory.descriptor, flags, mode: 0o600)
            return PendingCopy(
                blob: blob,
                file: file,
                temporary: temporary,
                name: name,
                directory: directory,
                replaces: replaces
            )
        } catch {
            throw SluiceError(error, "make a temporary file", object: directory.path(of: name))
        }
    }

    private func setMode(_ copy: PendingCopy) throws(SluiceError) {
        do throws(SystemFailure) {
            try SystemFailure.check("fchmod") { fchmod(copy.file.raw, FileMode.finished) }
        } catch {
            // The file is ours, so EPERM is a file system without permissions, which has none to get wrong.
            guard [EPERM, ENOTSUP].contains(error.number) else {
                throw SluiceError(error, "set the permissions", object: copy.object)
            }
        }
    }

    /// False if something has the name.
    private func publish(_ copy: PendingCopy) throws(SluiceError) -> Bool {
        let directory = copy.directory.descriptor
        do throws(SystemFailure) {
            CrashPoint.step()
            if copy.replaces {
                try directory.rename(copy.temporary, to: copy.name)
            } else {
                try directory.publish(copy.temporary, to: copy.name) { () throws(SystemFailure) in
                    try directory.unlink(copy.temporary)
                }
            }
            CrashPoint.step()
            return true
        } catch {
            if error.number == EEXIST { return false }
            throw SluiceError(error, "give the file its name", object: copy.object)
        }
    }

    // MARK: - Copies

    /// Makes copies durable, together where they are many, and then gives them their names.
    ///
    /// - Returns: how each ended, in their order. Nothing is left of one that failed.
    func settle(_ copies: [PendingCopy]) -> [Result<Placement, SluiceError>] {
        let together = copies.count >= FilePlacer.syncedTogether
        // A write-back that failed is told once for each open file, so the whole file system is asked first.
        let failures = together ? syncFileSystems(of: copies) : [:]
        return copies.map { copy in
            do throws(SluiceError) {
                if let failure = failures[copy.directory.device] { throw failure }
                do throws(SystemFailure) {
                    try together ? calls.writeBackStatus(copy.file) : calls.sync(copy.file)
                } catch {
                    // After a failed fsync the pages are gone, whatever a second one says.
                    throw SluiceError(error, "make the file durable", object: copy.object, retry: .restart)
                }
                return .success(try finish(copy))
            } catch {
                copy.discard()
                return .failure(error)
            }
        }
    }

    /// Copies from which one `syncfs(2)` is cheaper than an `fsync(2)` each; it also writes what others left dirty.
    private static let syncedTogether = 8

    private func syncFileSystems(of copies: [PendingCopy]) -> [UInt64: SluiceError] {
        var failures: [UInt64: SluiceError] = [:]
        let directories = Dictionary(copies.map { ($0.directory.device, $0.directory) }) { first, _ in first }
        for (device, directory) in directories {
            do throws(SystemFailure) {
                try calls.syncFileSystem(directory.descriptor)
            } catch {
                let object = directory.path.description
                failures[device] = SluiceError(error, "make the files durable", object: object, retry: .restart)
            }
        }
        return failures
    }

    private func finish(_ copy: PendingCopy) throws(SluiceError) -> Placement {
        if try publish(copy) { return copy.replaces ? .replaced(.copy) : .placed(.copy) }
        // Somebody took the name meanwhile.
        copy.discard()
        return try place(copy.blob, as: copy.name, in: copy.directory)
    }
}

/// A file beside its place that has all of its bytes, and not yet its name.
struct PendingCopy {
    let blob: FilePlacer.Located
    let file: OwnedDescriptor
    let temporary: [UInt8]
    let name: [UInt8]
    let directory: PlaceDirectory
    let replaces: Bool

    var object: String { directory.path(of: name) }

    func discard() { try? directory.descriptor.unlink(temporary) }
}

/// What a symbolic link to a blob holds.
enum LinkTarget {
    /// Relative where directory and store are below one directory that is not the root: such a pair is moved, and
    /// mounted elsewhere, together. Absolute else.
    static func path(from directory: LocalPath?, to target: LocalPath) -> [UInt8] {
        directory.flatMap { relative(from: $0, to: target) } ?? target.bytes
    }

    /// Nil if they share nothing but the root. Both without links in them.
    static func relative(from directory: LocalPath, to target: LocalPath) -> [UInt8]? {
        let slash = UInt8(ascii: "/")
        let from = directory.bytes.split(separator: slash)
        let to = target.bytes.split(separator: slash)
        let shared = zip(from, to).prefix { $0 == $1 }.count
        guard shared > 0 else { return nil }
        let up = [[UInt8]](repeating: Array("..".utf8), count: from.count - shared)
        return Array((up + to.dropFirst(shared).map(Array.init)).joined(separator: [slash]))
    }
}
