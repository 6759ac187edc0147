import Glibc
import SluiceBytes
import SluicePipeline

/// The store's operations with errors that name the object, and the few compositions that every part of it needs.
struct StoreFiles: Sendable {
    let operations: any StoreOperations
    let modes: StoreModes
    let notice: @Sendable (StoreNotice) -> Void

    /// Runs `body`; a failure becomes the error "could not `action`" of `object`.
    func attempt<R>(
        _ action: String,
        _ object: @autoclosure () -> String,
        _ body: () throws(SystemFailure) -> R
    ) throws(SluiceError) -> R {
        do throws(SystemFailure) {
            return try body()
        } catch {
            throw SluiceError(error, action, object: object())
        }
    }

    // MARK: - Directories

    /// Nil if it is missing.
    func directory(_ name: StoreName, in parent: StoreDirectory) throws(SluiceError) -> StoreDirectory? {
        let path = parent.path.appending(name.bytes)
        do throws(SystemFailure) {
            return StoreDirectory(descriptor: try operations.openDirectory(name, in: parent.descriptor), path: path)
        } catch {
            if error.number == ENOENT { return nil }
            throw SluiceError(error, "open the directory", object: path.description)
        }
    }

    /// Makes it unless it is there. Its name is durable when this returns, whoever made it.
    func makeDirectory(_ name: StoreName, in parent: StoreDirectory) throws(SluiceError) -> StoreDirectory {
        let path = parent.path.appending(name.bytes).description
        do throws(SystemFailure) {
            try operations.makeDirectory(name, in: parent.descriptor)
        } catch {
            // EEXIST also after a lost reply; whoever made it may not have synced it yet.
            if error.number != EEXIST { throw SluiceError(error, "make the directory", object: path) }
        }
        guard let made = try directory(name, in: parent) else {
            throw SluiceError(
                .fileSystem,
                object: path,
                "the directory was made and is not there",
                remedy: "check that nothing else tidies up in the store",
                retry: .backoff
            )
        }
        try setMode(modes.directory, of: made.descriptor, path)
        try syncDirectory(parent)
        return made
    }

    /// Makes the names in a directory durable.
    func syncDirectory(_ directory: StoreDirectory) throws(SluiceError) {
        do throws(SystemFailure) {
            try operations.syncDirectory(directory.descriptor)
        } catch {
            if let error = judged(error, directory) { throw error }
        }
    }

    /// The same for several, of which many are best given at once: the disk is waited for once. What failed is in its
    /// place.
    func syncDirectories(_ directories: [StoreDirectory]) -> [SluiceError?] {
        zip(operations.syncDirectories(directories.map(\.descriptor)), directories).map { failure, directory in
            failure.flatMap { judged($0, directory) }
        }
    }

    /// Nil for what is only noticed.
    private func judged(_ failure: SystemFailure, _ directory: StoreDirectory) -> SluiceError? {
        // SMB and some FUSE servers cannot sync a directory and say so with one of these; EIO is never excused.
        guard [EINVAL, ENOENT, ENOTSUP].contains(failure.number) else {
            return SluiceError(failure, "make names durable", object: directory.path.description)
        }
        notice(.directoryNotSynced(directory.path.description))
        return nil
    }

    /// The names in a directory, sorted. Those with a dot in front are the system's (`.nfs…`, `.snapshot`).
    ///
    /// - Throws: `.badAnswer` for a name that the store cannot have made: whoever made it is unknown, and so is what
    ///   it stands for.
    func names(in directory: StoreDirectory) throws(SluiceError) -> [StoreName] {
        try listing(of: directory).map { (bytes) throws(SluiceError) in
            guard let name = StoreName(bytes) else {
                throw SluiceError(
                    .badAnswer,
                    object: directory.path.appending(bytes).description,
                    "this name was not made by Sluice",
                    remedy: "move it out of the store"
                )
            }
            return name
        }.sorted()
    }

    /// The names in a directory that the store can have made; others are left alone.
    func knownNames(in directory: StoreDirectory) throws(SluiceError) -> [StoreName] {
        try listing(of: directory).compactMap { StoreName($0) }.sorted()
    }

    /// The other names, but for `.nfs…`: a file that was removed while somebody had it open.
    func strayNames(in directory: StoreDirectory) throws(SluiceError) -> [[UInt8]] {
        try attempt("list", directory.path.description) { () throws(SystemFailure) in
            try operations.names(in: directory.descriptor)
        }.filter { StoreName($0) == nil && !$0.starts(with: ".nfs".utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private func listing(of directory: StoreDirectory) throws(SluiceError) -> [[UInt8]] {
        try attempt("list", directory.path.description) { () throws(SystemFailure) in
            try operations.names(in: directory.descriptor)
        }.filter { $0.first != UInt8(ascii: ".") }
    }

    // MARK: - Files

    /// Nil if nothing has that name.
    func status(_ entry: StoreEntry) throws(SluiceError) -> FileStatus? {
        do throws(SystemFailure) {
            return try operations.status(entry.name, in: entry.directory.descriptor)
        } catch {
            if error.number == ENOENT { return nil }
            throw SluiceError(error, "look at", object: entry.path)
        }
    }

    /// Opens a regular file for reading; nil if nothing has that name.
    func open(_ entry: StoreEntry) throws(SluiceError) -> (file: OwnedDescriptor, status: FileStatus)? {
        do throws(SystemFailure) {
            return try lookingAgain { () throws(SystemFailure) in try openNow(entry) }
        } catch {
            if error.number == ENOENT { return nil }
            throw planted(entry) ?? SluiceError(error, "open", object: entry.path)
        }
    }

    func openNow(_ entry: StoreEntry) throws(SystemFailure) -> (file: OwnedDescriptor, status: FileStatus) {
        let file = try operations.open(entry.name, in: entry.directory.descriptor)
        let status = try operations.status(of: file)
        guard status.kind == .regular else { throw SystemFailure("open", EINVAL) }
        return (file, status)
    }

    /// What is told where something else than a file was planted under a store's name: a pipe, a link.
    func planted(_ entry: StoreEntry) -> SluiceError? {
        guard let status = try? operations.status(entry.name, in: entry.directory.descriptor), status.kind != .regular
        else { return nil }
        return SluiceError(
            .fileSystem,
            object: entry.path,
            "this is \(status.kind.rawValue), and a store holds regular files",
            remedy: "move it out of the store; sluice cas repair brings a blob back, and a tree whose manifest belongs "
                + "there is to be copied in again before anything is collected"
        )
    }

    /// Runs `body` again where it met a file that another host removed or replaced since its name was looked up: the
    /// name leads to nothing by now, or to another file. ESTALE (stat(2) and nfs(5)) says so of a handle only.
    func lookingAgain<R>(_ body: () throws(SystemFailure) -> R) throws(SystemFailure) -> R {
        for _ in 0..<StoreFiles.mostLooks {
            do throws(SystemFailure) {
                return try body()
            } catch {
                if error.number != ESTALE { throw error }
            }
        }
        return try body()
    }

    private static let mostLooks = 3

    /// A small file's bytes; nil if nothing has that name.
    ///
    /// - Throws: `.badAnswer` if it is longer than `limit`.
    func read(_ entry: StoreEntry, limit: ByteCount) throws(SluiceError) -> (bytes: [UInt8], status: FileStatus)? {
        let found: (bytes: [UInt8], status: FileStatus)
        do throws(SystemFailure) {
            found = try lookingAgain { () throws(SystemFailure) in
                let (file, status) = try openNow(entry)
                // One byte more than it has: a file that grew is seen, not cut.
                let most = status.size <= limit.bytes ? Int(status.size) + 1 : 0
                return (try operations.bytes(of: file, limit: most), status)
            }
        } catch {
            if error.number == ENOENT { return nil }
            throw planted(entry) ?? SluiceError(error, "read", object: entry.path)
        }
        let (bytes, status) = found
        try check(status.size, of: entry, limit: limit)
        try check(read: UInt64(bytes.count), of: entry, size: status.size)
        return (bytes, status)
    }

    func check(_ size: UInt64, of entry: StoreEntry, limit: ByteCount) throws(SluiceError) {
        guard size <= limit.bytes else {
            throw SluiceError(
                .badAnswer,
                object: entry.path,
                "is \(size) bytes long, and a record of its kind has at most \(limit.bytes)",
                remedy: "move it out of the store and check who wrote it"
            )
        }
    }

    func check(read count: UInt64, of entry: StoreEntry, size: UInt64) throws(SluiceError) {
        guard count == size else {
            throw SluiceError(
                .badAnswer,
                object: entry.path,
                "\(count) bytes came where its size is \(size)",
                retry: .backoff
            )
        }
    }

    /// A new file under a name that nobody else makes: what has it already is what an earlier try left, the same one
    /// perhaps, with its reply lost.
    func create(_ entry: StoreEntry) throws(SluiceError) -> OwnedDescriptor {
        do throws(SystemFailure) {
            return try operations.create(entry.name, in: entry.directory.descriptor)
        } catch {
            if error.number == ENOENT { throw swept(entry) }
            guard error.number == EEXIST else { throw SluiceError(error, "make", object: entry.path) }
        }
        try remove(entry)
        return try attempt("make", entry.path) { () throws(SystemFailure) in
            try operations.create(entry.name, in: entry.directory.descriptor)
        }
    }

    private func swept(_ entry: StoreEntry) -> SluiceError {
        SluiceError(
            .leased,
            object: entry.path,
            "the directory to make it in is gone: a collection sweeps what was silent for days",
            remedy: "run the command again",
            retry: .restart
        )
    }

    /// Writes a whole file under a new name, with its bytes durable; its name is not yet. Nothing is left of one that
    /// failed.
    func write(_ bytes: [UInt8], to entry: StoreEntry) throws(SluiceError) -> OwnedDescriptor {
        let file = try create(entry)
        return try orRemove(entry) { () throws(SluiceError) in
            try attempt("write", entry.path) { () throws(SystemFailure) in try operations.write(bytes, to: file) }
            try setMode(modes.record, of: file, entry.path)
            try syncFile(file, entry.path)
            return file
        }
    }

    /// Runs `body`, and removes what has the name `entry` if that fails: what was made for nothing must not fill a full
    /// disk further.
    func orRemove<R>(_ entry: StoreEntry, _ body: () throws(SluiceError) -> R) throws(SluiceError) -> R {
        do throws(SluiceError) {
            return try body()
        } catch {
            try? remove(entry)
            throw error
        }
    }

    /// Writes a record and renames it over whatever has the target's name.
    func put(_ bytes: [UInt8], _ temporary: StoreEntry, as target: StoreEntry) throws(SluiceError) {
        let file = try write(bytes, to: temporary)
        try orRemove(temporary) { () throws(SluiceError) in try replace(temporary, file, to: target) }
    }

    /// Makes a file's bytes durable.
    ///
    /// - Throws: with `.restart` whatever the reason: after a failed fsync the kernel has dropped the pages and says
    ///   yes the next time, so the bytes have to be written anew (fsync(2), since 4.13).
    func syncFile(_ file: OwnedDescriptor, _ object: String) throws(SluiceError) {
        do throws(SystemFailure) {
            try operations.sync(file)
            try operations.flush(file)
        } catch {
            var failure = SluiceError(error, "make the bytes durable", object: object)
            if failure.retry != .park { failure.retry = .restart }
            throw failure
        }
    }

    /// A mode that does not depend on the umask; file systems without modes (SMB) are left as they are.
    func setMode(_ mode: UInt32?, of file: OwnedDescriptor, _ object: String) throws(SluiceError) {
        guard let mode else { return }
        do throws(SystemFailure) {
            try operations.setMode(mode, of: file)
        } catch {
            guard [EPERM, ENOTSUP].contains(error.number) else {
                throw SluiceError(error, "set the permissions", object: object)
            }
        }
    }

    /// Takes a name away; it may be gone already.
    func remove(_ entry: StoreEntry) throws(SluiceError) {
        do throws(SystemFailure) {
            try operations.unlink(entry)
        } catch {
            // Also after a lost reply.
            if error.number != ENOENT { throw SluiceError(error, "remove", object: entry.path) }
        }
    }

    /// Renames over whatever has the target's name.
    ///
    /// rename(2): "you can not assume that if the operation failed, the file was not renamed": then the names tell.
    func replace(_ from: StoreEntry, _ file: OwnedDescriptor, to: StoreEntry) throws(SluiceError) {
        do throws(SystemFailure) {
            try operations.rename(from, to: to)
        } catch {
            guard let status = try? operations.status(of: file), let now = try? self.status(to),
                now.isSameFile(as: status), (try? self.status(from)) == .some(nil)
            else { throw SluiceError(error, "rename to \(to.path)", object: from.path) }
        }
        try syncDirectory(to.directory)
    }
}

/// The permissions that a store gives, whatever the umask of who writes.
struct StoreModes: Sendable {
    /// Nil: what mkdir(2) gave.
    let directory: UInt32?
    let record: UInt32
    /// What is on its way is its writer's alone.
    static let staged: UInt32 = 0o600
    /// Nobody writes to a blob.
    let blob: UInt32 = 0o444

    init(_ sharing: StoreSharing) {
        switch sharing {
        case .owner:
            directory = nil
            record = 0o644
        case .group:
            // Set-group-id: what is made below belongs to the directory's group.
            directory = 0o2775
            record = 0o664
        }
    }
}
