import SluiceBytes
import SluicePipeline

extension ContentStore {
    private static let headLimit = ByteCount.kibibytes(4)

    /// The files of a revision, for who reads it: all of them.
    ///
    /// - Throws: `.digestMismatch` if a manifest of it is damaged, or was and is set aside.
    package func wholeTree(_ name: RevisionName) throws(SluiceError) -> Tree? {
        try checkWhole(name)
        return try tree(name)
    }

    /// The files of a revision, as all of its manifests together tell; nil if it has none.
    package func tree(_ name: RevisionName) throws(SluiceError) -> Tree? {
        guard let directory = try manifestDirectory(name) else { return nil }
        let manifests = try members(of: directory) { (file) throws(SluiceError) -> Manifest?? in
            guard let parsed = ManifestFileName(file), parsed.revision == name.revisionName else { return .some(nil) }
            return try manifest(name, parsed, in: directory).map { .some($0) }
        }.compactMap { $0 }
        return Tree(name, manifests)
    }

    /// A whole manifest; nil if nothing has that name.
    func manifest(
        _ name: RevisionName,
        _ file: ManifestFileName,
        in directory: StoreDirectory
    ) throws(SluiceError) -> Manifest? {
        var found: [Manifest.File] = []
        let nonce = try read(name, file, in: directory, as: Manifest.File.self) { found += $0 }
        guard let nonce else { return nil }
        do throws(SluiceError) {
            return try Manifest(name, found, nonce: nonce)
        } catch {
            let path = StoreEntry(file.name, in: directory).path
            throw led(out: StoreRecord.damaged(path, error.message, cause: error.object), of: name)
        }
    }

    /// Gives `body` the files of a manifest, some hundred at a time: a long one takes no more memory than a short one.
    ///
    /// Its bytes are hashed before any file is given, and, where they are read again for it, once more.
    ///
    /// - Parameter type: what is read of a file.
    /// - Returns: its nonce; nil if nothing has that name. If it is removed meanwhile, some files were given.
    /// - Throws: `.digestMismatch` for bytes that are not those of its name; `.badAnswer` for what is no manifest of that
    ///   revision; `.unsupported` for a later form.
    func read<File: Decodable & Sendable>(
        _ name: RevisionName,
        _ file: ManifestFileName,
        in directory: StoreDirectory,
        as type: File.Type,
        _ body: ([File]) throws(SluiceError) -> Void
    ) throws(SluiceError) -> String? {
        do throws(SluiceError) {
            return try parse(name, file, in: directory, body)
        } catch {
            throw led(out: error, of: name)
        }
    }

    /// What to do about a manifest that cannot be trusted: never to take it away and go on.
    private func led(out error: SluiceError, of name: RevisionName) -> SluiceError {
        guard error.code == .badAnswer, error.retry == .never else { return error }
        var error = error
        error.remedy =
            "sluice cas scrub \(path) sets it aside if it is damaged; if another program wrote it, move it out of the "
            + "store; then copy \(name) in again before anything is collected, or what only it names is lost"
        return error
    }

    private func parse<File: Decodable & Sendable>(
        _ name: RevisionName,
        _ file: ManifestFileName,
        in directory: StoreDirectory,
        _ body: ([File]) throws(SluiceError) -> Void
    ) throws(SluiceError) -> String? {
        let entry = StoreEntry(file.name, in: directory)
        guard var blocks = try RecordBlocks(entry, files, limit: Manifest.limit) else { return nil }
        func prove(_ hash: SHA256) throws(SluiceError) {
            let found = hash.finalized()
            guard found != file.digest else { return }
            throw SluiceError(
                .digestMismatch,
                object: entry.path,
                "the manifest is damaged: its name says SHA-256 \(file.digest.hex), its bytes have \(found.hex)",
                remedy: "sluice cas scrub \(path) sets it aside; "
                    + "then copy \(name) in again, or restore the file from a backup"
            )
        }
        var hash = SHA256()
        guard try blocks.forEach({ (block) throws(SluiceError) in hash.update(block) }) else { return nil }
        try prove(hash)
        var parser = ManifestParser<File>(name, entry.path)
        hash = SHA256()
        let isThere = try blocks.forEach { (block) throws(SluiceError) in
            hash.update(block)
            try block.withBytes { (bytes) throws(SluiceError) in try parser.take(bytes, body) }
        }
        guard isThere else { return nil }
        try prove(hash)
        return try parser.finish()
    }

    /// Gives `body` the files of every manifest, of a long one some at a time; those of a revision come together.
    ///
    /// - Parameter type: what is read of a file.
    /// - Throws: for the first that cannot be read, and for a name that is none: what it refers to is unknown.
    func forEachManifest<File: Decodable & Sendable>(
        as type: File.Type,
        _ body: (RevisionName, [File]) throws(SluiceError) -> Void
    ) throws(SluiceError) {
        try forEachManifestFile { (name, file, directory) throws(SluiceError) in
            let nonce = try read(name, file, in: directory, as: type) { (files) throws(SluiceError) in
                try body(name, files)
            }
            return nonce != nil
        }
    }

    /// Gives `body` every manifest's file; it answers false if the file is not there any more.
    func forEachManifestFile(
        _ body: (RevisionName, ManifestFileName, StoreDirectory) throws(SluiceError) -> Bool
    ) throws(SluiceError) {
        _ = try members(of: layout.refs) { (kind) throws(SluiceError) -> Bool? in
            guard let kinds = try files.directory(kind, in: layout.refs) else { return nil }
            _ = try members(of: kinds) { (name) throws(SluiceError) -> Bool? in
                guard let names = try files.directory(name, in: kinds) else { return nil }
                _ = try members(of: names) { (file) throws(SluiceError) -> Bool? in
                    guard let parsed = ManifestFileName(file),
                        let whole = RevisionName(kind: kind, name: name, revision: parsed.revision)
                    else { throw StoreRecord.damaged(StoreEntry(file, in: names).path, "its name is no manifest's") }
                    return try body(whole, parsed, names) ? true : nil
                }
                return true
            }
            return true
        }
    }

    /// Every revision that has a manifest, in order. Reads names only.
    package func revisions() throws(SluiceError) -> [RevisionName] {
        var found: Set<RevisionName> = []
        try forEachManifestFile { (name, _, _) in
            found.insert(name)
            return true
        }
        return found.sorted()
    }

    /// Takes a revision away, durably, and the heads that name it; its blobs stay until a collection finds nobody else
    /// needs them.
    ///
    /// - Returns: false if there was none.
    package func remove(_ name: RevisionName) throws(SluiceError) -> Bool {
        try checkWritable()
        guard let directory = try manifestDirectory(name) else { return false }
        var wasThere = false
        // A merge that began before may publish once more what was taken away.
        for _ in 0..<20 {
            let mine = try files.names(in: directory).filter { ManifestFileName($0)?.revision == name.revisionName }
            if mine.isEmpty { break }
            wasThere = true
            for file in mine { try files.remove(StoreEntry(file, in: directory)) }
            try files.syncDirectory(directory)
        }
        guard wasThere, let kinds = try files.directory(name.kindDirectory, in: layout.heads),
            let heads = try files.directory(name.nameDirectory, in: kinds)
        else { return wasThere }
        for branch in try branches(of: name) {
            try files.remove(StoreEntry(try StoreName(escaping: branch), in: heads))
        }
        try files.syncDirectory(heads)
        return true
    }

    /// Whether a revision has a manifest. Reads names only.
    package func has(_ name: RevisionName) throws(SluiceError) -> Bool {
        guard let directory = try manifestDirectory(name) else { return false }
        return try files.names(in: directory).contains { ManifestFileName($0)?.revision == name.revisionName }
    }

    func manifestDirectory(_ name: RevisionName) throws(SluiceError) -> StoreDirectory? {
        guard let kind = try files.directory(name.kindDirectory, in: layout.refs) else { return nil }
        return try files.directory(name.nameDirectory, in: kind)
    }

    /// The revision that a branch of a model points to; nil if it has none.
    package func head(_ branch: String, kind: String, name: String) throws(SluiceError) -> RevisionName? {
        guard let kinds = try files.directory(StoreName(escaping: kind), in: layout.heads),
            let names = try files.directory(StoreName(escaping: name), in: kinds)
        else { return nil }
        let entry = StoreEntry(try StoreName(escaping: branch), in: names)
        guard let (bytes, _) = try files.read(entry, limit: ContentStore.headLimit) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard bytes.last == UInt8(ascii: "\n"), Array(text.utf8) == bytes,
            let head = try? RevisionName(kind: kind, name: name, revision: String(text.dropLast()))
        else { throw StoreRecord.damaged(entry.path, "it holds no revision") }
        return head
    }

    /// The branches of a model, and the revisions that their heads name.
    package func heads(kind: String, name: String) throws(SluiceError) -> [(branch: String, revision: RevisionName)] {
        guard let kinds = try files.directory(StoreName(escaping: kind), in: layout.heads),
            let names = try files.directory(StoreName(escaping: name), in: kinds)
        else { return [] }
        var heads: [(branch: String, revision: RevisionName)] = []
        for file in try files.knownNames(in: names) {
            guard let branch = file.unescaped, let head = try head(branch, kind: kind, name: name) else { continue }
            heads.append((branch, head))
        }
        return heads
    }

    /// The branches whose heads name a revision.
    package func branches(of name: RevisionName) throws(SluiceError) -> [String] {
        try heads(kind: name.kind, name: name.name).filter { $0.revision == name }.map(\.branch)
    }

    /// What another store needs to have a tree: paths below the root, blobs before manifests before heads.
    package func exportList(_ name: RevisionName) throws(SluiceError) -> [String] {
        guard let tree = try wholeTree(name), let directory = try manifestDirectory(name) else {
            throw SluiceError(
                .notFound,
                object: "\(name)",
                "the store has no such tree",
                remedy: "list what is there: sluice cas ls -l \(path)"
            )
        }
        let blobs = Set(tree.files.map { BlobKey($0.digest) }).sorted().map { key in
            "blobs/sha256/\(StoreName.shard(key.digest))/\(key.hex)"
        }
        let manifests = try files.names(in: directory).filter { ManifestFileName($0)?.revision == name.revisionName }
        let heads = try branches(of: name).map { (branch) throws(SluiceError) in try StoreName(escaping: branch) }
        let place = "\(name.kindDirectory)/\(name.nameDirectory)"
        return [StoreMarker.name.description] + blobs + manifests.map { "refs/\(place)/\($0)" }
            + heads.map { "heads/\(place)/\($0)" }
    }
}
