import Glibc
import SluiceBytes
import SluicePipeline

extension ContentStore {
    /// Makes a store, or completes and opens the one that is there.
    ///
    /// The marker comes last, and only one is ever published: two hosts that do this at once get the same store, and a
    /// crash leaves only empty directories that the next call takes up.
    ///
    /// - Parameter sharing: nil takes what is there, or `.owner`.
    /// - Throws: `.exists` if the directory holds anything else, or a store with another sharing; `.notFound` if its
    ///   parent is missing: an unmounted share must not become a store on the local disk.
    package static func initialise(
        _ path: LocalPath,
        sharing: StoreSharing? = nil,
        _ context: StoreContext = StoreContext()
    ) throws(SluiceError) -> ContentStore {
        let marker = StoreMarker(id: randomName().description, sharing: sharing ?? .owner)
        let files = files(marker, context)
        let root = try root(path, files)
        let present = try self.marker(in: root, files)
        if present == nil { try checkEmpty(root, files) }
        try check(present, sharing, path)
        let owned = present.map { self.files($0, context) } ?? files
        if present == nil { try owned.setMode(owned.modes.directory, of: root.descriptor, path.description) }
        let layout = try StoreLayout(root: root) { (name, parent) throws(SluiceError) in
            if let present = try owned.directory(name, in: parent) { return present }
            return try owned.makeDirectory(name, in: parent)
        }
        try layout.checkOneFileSystem(owned)
        if present == nil { try publish(marker, layout, owned) }
        // Whoever was first: the marker that is there now has the say.
        try check(try self.marker(in: root, files), sharing, path)
        return try open(path, context)
    }

    private static func root(_ path: LocalPath, _ files: StoreFiles) throws(SluiceError) -> StoreDirectory {
        if let root = try openRoot(path, files) { return root }
        do throws(SystemFailure) {
            try files.operations.makeRoot(path)
        } catch {
            if error.number != EEXIST { throw SluiceError(error, "make the store", object: path.description) }
        }
        // Whoever made it may not have synced it yet.
        if let parent = try openRoot(path.parent, files) { try files.syncDirectory(parent) }
        if let root = try openRoot(path, files) { return root }
        throw SluiceError(.fileSystem, object: path.description, "the directory was made and is not there")
    }

    private static func check(
        _ marker: StoreMarker?,
        _ sharing: StoreSharing?,
        _ path: LocalPath
    ) throws(SluiceError) {
        guard let marker, let sharing, marker.sharing != sharing.rawValue else { return }
        throw SluiceError(
            .exists,
            object: path.description,
            "a store is there with sharing \(Printable.text(String(marker.sharing.prefix(40)))), not \(sharing.rawValue)",
            remedy: "leave the option out to use it as it is"
        )
    }

    /// What a crashed `initialise` left is no foreign file: directories of the layout with nothing in them.
    private static func checkEmpty(_ root: StoreDirectory, _ files: StoreFiles) throws(SluiceError) {
        for bytes in try raw(root, files) {
            guard let name = StoreName(bytes), StoreLayout.names.contains(name.description) else {
                if isSystem(bytes) { continue }
                throw foreign(root, bytes)
            }
            guard let directory = try files.directory(name, in: root) else { continue }
            for inner in try raw(directory, files) {
                let isOurs = name == StoreName("blobs") ? inner == Array("sha256".utf8) : inner.ends(with: ".init")
                if !isOurs { throw foreign(directory, inner) }
            }
        }
    }

    private static func raw(_ directory: StoreDirectory, _ files: StoreFiles) throws(SluiceError) -> [[UInt8]] {
        try files.attempt("list", directory.path.description) { () throws(SystemFailure) in
            try files.operations.names(in: directory.descriptor)
        }
    }

    /// What file systems and servers put into every root.
    private static func isSystem(_ name: [UInt8]) -> Bool {
        ["lost+found", ".snapshot", ".zfs"].contains { name == Array($0.utf8) } || name.starts(with: ".nfs".utf8)
    }

    private static func foreign(_ directory: StoreDirectory, _ name: [UInt8]) -> SluiceError {
        SluiceError(
            .exists,
            object: directory.path.description,
            "is neither empty nor a store: it holds \(Printable.text(name))",
            remedy: "choose an empty directory, or one that does not exist; a store that lost its \(StoreMarker.name) "
                + "wants that file back"
        )
    }

    private static func publish(
        _ marker: StoreMarker,
        _ layout: StoreLayout,
        _ files: StoreFiles
    ) throws(SluiceError) {
        guard let name = randomName().appending(".init") else { return }
        let entry = StoreEntry(name, in: layout.staging)
        let file = try files.write(try StoreRecord.encode(marker), to: entry)
        try files.orRemove(entry) { () throws(SluiceError) in
            try checkLinks(entry, StoreEntry(name, in: layout.blobs), files)
            // Another host's marker is as good.
            if try !files.publish(entry, file, to: StoreEntry(StoreMarker.name, in: layout.root)) {
                try files.remove(entry)
            }
        }
        try files.syncDirectory(layout.root)
    }

    /// Two mounts of one file system have one device number, and no links between them.
    private static func checkLinks(
        _ entry: StoreEntry,
        _ probe: StoreEntry,
        _ files: StoreFiles
    ) throws(SluiceError) {
        do throws(SystemFailure) {
            try files.operations.link(entry, to: probe)
        } catch {
            if error.number == EXDEV {
                throw SluiceError(
                    .unsupported,
                    object: probe.directory.path.description,
                    "nothing can be linked to it from \(entry.directory.path)",
                    remedy: "mount one file system over the whole store, without mounts inside"
                )
            }
            // No links at all: the publish ladder has other rungs, and says so.
            return
        }
        try files.remove(probe)
    }
}

extension [UInt8] {
    fileprivate func ends(with suffix: String) -> Bool { self.suffix(suffix.utf8.count).elementsEqual(suffix.utf8) }
}
