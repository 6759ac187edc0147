import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// A file of a tree: its digest is its version, and is compared with what was read.
struct CASObject: LocalFileObject {
    let path: LocalPath
    let stores: OpenStores
    let time: any TimeSource

    var location: String { "cas:\(path)" }
    var host: String { "file" }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let (share, file) = try find()
        _ = try blob(file, in: share)
        return OpenedObject(
            info: ObjectInfo(
                size: file.size.bytes,
                pin: .etag(CASObject.tag(file.digest), size: file.size.bytes),
                published: [file.digest],
                supportsRanges: true
            )
        )
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        FileStream(try openFile(info), range, pin: info.pin, location: location, options: options, time: time)
    }

    func openFile(_ info: ObjectInfo) throws -> OwnedDescriptor {
        let (share, file) = try find()
        guard info.publishedSHA256 == file.digest else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), it is \(CASObject.tag(file.digest)) now",
                retry: .restart
            )
        }
        return try blob(file, in: share).file
    }

    /// A blob is never rewritten; what a disk made of it shows in its digest.
    func confirmUnchanged(_ info: ObjectInfo) async throws {}

    static func tag(_ digest: Digest) -> String { "\"sha256:\(digest.hex)\"" }

    private func find() throws(SluiceError) -> (StoreShare, Manifest.File) {
        let place = try stores.locate(path)
        guard let tree = place.tree, !tree.path.bytes.isEmpty else {
            throw SluiceError(.usage, object: location, "is a tree, not a file of one", remedy: "add -r to copy it")
        }
        let name = try tree.revisionToRead(in: place.share.store)
        guard let file = try place.share.treeToRead(name).file(tree.path) else {
            throw CASSource.notFound(location, "the tree \(name) has no such file")
        }
        return (place.share, file)
    }

    private func blob(_ file: Manifest.File, in share: StoreShare) throws(SluiceError) -> OpenBlob {
        guard let blob = try share.store.open(file.digest) else {
            throw SluiceError(
                .notFound,
                object: location,
                "its blob \(file.digest.hex) is missing in the store",
                remedy: "fetch it again: sluice cas repair \(share.store.path)"
            )
        }
        guard blob.size == file.size else {
            throw SluiceError(
                .digestMismatch,
                object: location,
                "its blob has \(blob.size.bytes) bytes, the manifest says \(file.size.bytes)",
                remedy: "sluice cas scrub \(share.store.path) sets it aside, "
                    + "then sluice cas repair \(share.store.path) brings it back"
            )
        }
        return blob
    }
}
