import Glibc
import SluiceBytes
import SluicePipeline

/// The store's directories, open, and all on one file system.
struct StoreLayout: Sendable {
    let root: StoreDirectory
    /// `blobs/sha256`.
    let blobs: StoreDirectory
    let refs: StoreDirectory
    let heads: StoreDirectory
    let leases: StoreDirectory
    let claims: StoreDirectory
    let staging: StoreDirectory
    let trash: StoreDirectory
    let quarantine: StoreDirectory

    /// Every name that `init` makes in the root.
    static let names = ["blobs", "refs", "heads", "leases", "claims", "tmp", "trash", "quarantine"]
    private static let algorithm = StoreName("sha256")

    /// Opens them with `open`, which makes what is missing or fails.
    init(
        root: StoreDirectory,
        _ open: (StoreName, StoreDirectory) throws(SluiceError) -> StoreDirectory
    ) throws(SluiceError) {
        self.root = root
        blobs = try open(StoreLayout.algorithm, try open(StoreName("blobs"), root))
        refs = try open(StoreName("refs"), root)
        heads = try open(StoreName("heads"), root)
        leases = try open(StoreName("leases"), root)
        claims = try open(StoreName("claims"), root)
        staging = try open(StoreName("tmp"), root)
        trash = try open(StoreName("trash"), root)
        quarantine = try open(StoreName("quarantine"), root)
    }

    /// `blobs/sha256`, opened once more: what is known of names in it is known anew.
    func reopenedBlobs(_ files: StoreFiles) throws(SluiceError) -> StoreDirectory? {
        guard let parent = try files.directory(StoreName("blobs"), in: root) else { return nil }
        return try files.directory(StoreLayout.algorithm, in: parent)
    }

    var all: [StoreDirectory] { [blobs, refs, heads, leases, claims, staging, trash, quarantine] }

    /// - Throws: `.unsupported` if a directory is on another file system than the root: a link or a rename between
    ///   two of them would fail, or be a copy.
    @discardableResult
    func checkOneFileSystem(_ files: StoreFiles) throws(SluiceError) -> UInt64 {
        let home = try device(root, files)
        for directory in all {
            let device = try device(directory, files)
            guard device == home else {
                throw SluiceError(
                    .unsupported,
                    object: directory.path.description,
                    "is on another file system (device \(device)) than the store (device \(home))",
                    remedy: "mount one file system over the whole store"
                )
            }
        }
        return home
    }

    private func device(_ directory: StoreDirectory, _ files: StoreFiles) throws(SluiceError) -> UInt64 {
        try files.attempt("look at", directory.path.description) { () throws(SystemFailure) in
            try files.operations.status(of: directory.descriptor).device
        }
    }
}
