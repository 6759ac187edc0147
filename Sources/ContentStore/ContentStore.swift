import Glibc
import SluiceBytes
import SluicePipeline

/// What a store takes from its surroundings.
package struct StoreContext: Sendable {
    /// The file operations; a test counts them and lets them fail.
    package var operations: any StoreOperations
    /// The local clocks: only ever compared with the server's, never used for ages.
    package var time: any TimeSource
    /// Hears what the user should know although the work goes on. Called from any thread; must not block.
    package var notice: @Sendable (StoreNotice) -> Void

    package init(
        operations: any StoreOperations = SystemOperations(),
        time: any TimeSource = SystemTime(),
        notice: @escaping @Sendable (StoreNotice) -> Void = { _ in }
    ) {
        self.operations = operations
        self.time = time
        self.notice = notice
    }
}

/// One directory that holds each blob once, for many machines at a time. See docs/decisions/0003-content-store.md.
///
/// All of its calls block: call them where blocking is allowed (`BlockingExecutor`). Every byte that is read in it may
/// have been written by anybody.
package final class ContentStore: Sendable {
    /// The root, as the user names it.
    package let path: LocalPath
    /// The id that `initialise` gave the store.
    package let id: String
    /// The file system that it is on, as stat(2) numbers it.
    package let device: UInt64
    /// Features that a writer would have to know and this program does not: then nothing is written.
    package let unknownRules: [String]

    let layout: StoreLayout
    let files: StoreFiles
    let time: any TimeSource

    init(_ marker: StoreMarker, layout: StoreLayout, device: UInt64, files: StoreFiles, time: any TimeSource) {
        path = layout.root.path
        id = marker.id
        self.device = device
        unknownRules = marker.unknownRules
        self.layout = layout
        self.files = files
        self.time = time
    }

    /// Opens the store whose root is `path`.
    ///
    /// - Throws: `.notFound` if that is no store, `.unsupported` if it is one of a later format or lies on more than
    ///   one file system, `.badAnswer` if its marker is damaged.
    package static func open(_ path: LocalPath, _ context: StoreContext = StoreContext()) throws(SluiceError)
        -> ContentStore
    {
        let probe = StoreFiles(operations: context.operations, modes: StoreModes(.owner), notice: context.notice)
        guard let root = try openRoot(path, probe), let marker = try marker(in: root, probe) else {
            throw SluiceError(
                .notFound,
                object: path.description,
                "is not a content store: it has no \(StoreMarker.name)",
                remedy: "check that the share is mounted, or make a store there: sluice cas init \(path)"
            )
        }
        let files = files(marker, context)
        let layout = try StoreLayout(root: root) { (name, parent) throws(SluiceError) in
            if let directory = try files.directory(name, in: parent) { return directory }
            throw SluiceError(
                .notFound,
                object: parent.path.appending(name.bytes).description,
                "the store's directory is missing",
                remedy: "make it again: sluice cas init \(path)"
            )
        }
        let device = try layout.checkOneFileSystem(files)
        return ContentStore(marker, layout: layout, device: device, files: files, time: context.time)
    }

    static func files(_ marker: StoreMarker, _ context: StoreContext) -> StoreFiles {
        let modes = StoreModes(StoreSharing(rawValue: marker.sharing) ?? .owner)
        return StoreFiles(operations: context.operations, modes: modes, notice: context.notice)
    }

    static func openRoot(_ path: LocalPath, _ files: StoreFiles) throws(SluiceError) -> StoreDirectory? {
        do throws(SystemFailure) {
            return StoreDirectory(descriptor: try files.operations.openRoot(path), path: path)
        } catch {
            if error.number == ENOENT { return nil }
            throw SluiceError(error, "open the store", object: path.description)
        }
    }

    static func marker(in root: StoreDirectory, _ files: StoreFiles) throws(SluiceError) -> StoreMarker? {
        let entry = StoreEntry(StoreMarker.name, in: root)
        guard let (bytes, _) = try files.read(entry, limit: StoreMarker.limit) else { return nil }
        return try StoreMarker.parse(bytes, entry.path)
    }

    /// - Throws: `.unsupported` if the store has rules that this program does not know.
    func checkWritable() throws(SluiceError) {
        guard unknownRules.isEmpty else {
            throw SluiceError(
                .unsupported,
                object: path.description,
                "the store can only be read: it asks for \(unknownRules.joined(separator: ", "))",
                remedy: "use a newer Sluice"
            )
        }
    }

    /// A name nobody else has: 128 random bits in hexadecimal digits.
    static func randomName() -> StoreName {
        var generator = SystemRandomNumberGenerator()
        return StoreName(TextEncoding.hex((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }))
    }
}
