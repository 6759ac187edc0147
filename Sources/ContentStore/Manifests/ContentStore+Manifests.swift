import SluiceBytes
import SluicePipeline

extension ContentStore {
    private static let headLimit = ByteCount.kibibytes(4)

    /// A manifest; nil if there is none of that name.
    package func manifest(_ name: ManifestName) throws(SluiceError) -> Manifest? {
        guard let directory = try manifestDirectory(name) else { return nil }
        return try manifest(name, in: directory)
    }

    private func manifest(_ name: ManifestName, in directory: StoreDirectory) throws(SluiceError) -> Manifest? {
        let entry = StoreEntry(name.file, in: directory)
        guard let (bytes, _) = try files.read(entry, limit: Manifest.limit) else { return nil }
        return try Manifest.parse(bytes, name, entry.path)
    }

    /// Gives `body` every manifest, one at a time.
    ///
    /// - Throws: for the first that cannot be read, and for a name that is none: what it refers to is unknown.
    package func forEachManifest(_ body: (Manifest) throws(SluiceError) -> Void) throws(SluiceError) {
        _ = try members(of: layout.refs) { (kind) throws(SluiceError) -> Bool? in
            guard let kinds = try files.directory(kind, in: layout.refs) else { return nil }
            _ = try members(of: kinds) { (name) throws(SluiceError) -> Bool? in
                guard let names = try files.directory(name, in: kinds) else { return nil }
                _ = try members(of: names) { (file) throws(SluiceError) -> Bool? in
                    guard let whole = ManifestName(kind: kind, name: name, file: file) else {
                        throw StoreRecord.damaged(StoreEntry(file, in: names).path, "its name is no manifest's")
                    }
                    guard let manifest = try manifest(whole, in: names) else { return nil }
                    try body(manifest)
                    return true
                }
                return true
            }
            return true
        }
    }

    /// Takes a manifest away, durably; its blobs stay until a collection finds nobody else needs them.
    ///
    /// - Returns: false if there was none.
    package func remove(_ name: ManifestName) throws(SluiceError) -> Bool {
        try checkWritable()
        guard let directory = try manifestDirectory(name) else { return false }
        let entry = StoreEntry(name.file, in: directory)
        guard try files.status(entry) != nil else { return false }
        try files.remove(entry)
        try files.syncDirectory(directory)
        return true
    }

    private func manifestDirectory(_ name: ManifestName) throws(SluiceError) -> StoreDirectory? {
        guard let kind = try files.directory(name.kindDirectory, in: layout.refs) else { return nil }
        return try files.directory(name.nameDirectory, in: kind)
    }

    /// The revision that a branch of a model points to; nil if it has none.
    package func head(_ branch: String, kind: String, name: String) throws(SluiceError) -> ManifestName? {
        guard let kinds = try files.directory(StoreName(escaping: kind), in: layout.heads),
            let names = try files.directory(StoreName(escaping: name), in: kinds)
        else { return nil }
        let entry = StoreEntry(try StoreName(escaping: branch), in: names)
        guard let (bytes, _) = try files.read(entry, limit: ContentStore.headLimit) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard bytes.last == UInt8(ascii: "\n"), Array(text.utf8) == bytes,
            let head = try? ManifestName(kind: kind, name: name, revision: String(text.dropLast()))
        else { throw StoreRecord.damaged(entry.path, "it holds no revision") }
        return head
    }
}
