import SluiceBytes
import SluicePipeline

/// How a blob came to be in the store.
package enum Publication: Hashable, Sendable {
    /// This writer's file has the name.
    case published
    /// The blob was there; this writer's copy was dropped.
    case present
}

extension StoreWriter {
    /// A new file for bytes to come.
    package func stage() throws(SluiceError) -> StagedBlob {
        let entry = temporary(".part")
        return StagedBlob(entry: entry, file: try files.create(entry), files: files)
    }

    /// Makes proven files blobs, durably when this returns. Many at once share the syncs of their directories.
    ///
    /// This file is the main path of publishing: prove → pin → sync the bytes → give the name → sync the names.
    ///
    /// - Returns: an outcome for each, in order; one that fails does not disturb the others.
    /// - Throws: what concerns all of them: the lease cannot be written.
    package func publish(_ blobs: [ArrivedBlob]) throws(SluiceError) -> [Result<Publication, SluiceError>] {
        var outcomes: [Result<Publication, SluiceError>] = blobs.map { blob in
            outcome { () throws(SluiceError) in
                try prove(blob)
                return .published
            }
        }
        try pin(zip(blobs, outcomes).filter { $0.1.isSuccess }.map(\.0.digest))
        for index in blobs.indices where outcomes[index].isSuccess {
            outcomes[index] = outcome { () throws(SluiceError) in try makeDurable(blobs[index]) }
        }
        for index in blobs.indices where outcomes[index].isSuccess {
            outcomes[index] = outcome { () throws(SluiceError) in try giveName(blobs[index]) }
        }
        let placed = blobs.indices.filter { outcomes[$0].isSuccess }
        let failures = store.syncShards(of: placed.map { BlobKey(blobs[$0].digest) })
        for index in placed {
            if let failure = failures[StoreName.shard(blobs[index].digest)] { outcomes[index] = .failure(failure) }
        }
        return outcomes
    }

    private func outcome(_ body: () throws(SluiceError) -> Publication) -> Result<Publication, SluiceError> {
        do throws(SluiceError) {
            return .success(try body())
        } catch {
            return .failure(error)
        }
    }

    /// - Throws: `.digestMismatch` with both digests, after the bytes were set aside.
    private func prove(_ blob: ArrivedBlob) throws(SluiceError) {
        let path = blob.staged.entry.path
        let size = try files.attempt("look at", path) { () throws(SystemFailure) in
            try files.operations.status(of: blob.staged.file).size
        }
        guard size == blob.size.bytes else {
            throw SluiceError(
                .internalFault,
                object: path,
                "holds \(size) bytes where \(blob.size.bytes) were hashed"
            )
        }
        guard let expected = blob.expected, expected != blob.digest else { return }
        try store.quarantine(
            blob.staged.entry,
            blob.staged.file,
            expected: expected,
            found: blob.digest.hex,
            origin: blob.origin
        )
        throw SluiceError(
            .digestMismatch,
            object: blob.origin,
            "SHA-256 is \(blob.digest.hex), and \(expected.hex) was published",
            remedy: "fetch it again; what came is kept in the store's quarantine",
            retry: .restart
        )
    }

    private func makeDurable(_ blob: ArrivedBlob) throws(SluiceError) -> Publication {
        let staged = blob.staged
        try files.setMode(files.modes.blob, of: staged.file, staged.entry.path)
        do throws(SluiceError) {
            try files.syncFile(staged.file, staged.entry.path)
        } catch {
            // Its pages are gone whatever a second fsync would say.
            if error.retry == .restart { try? staged.discard() }
            throw error
        }
        return .published
    }

    private func giveName(_ blob: ArrivedBlob) throws(SluiceError) -> Publication {
        let shard = try store.makeShard(of: blob.digest)
        let target = StoreEntry(.blob(blob.digest), in: shard)
        // Twice, should a damaged one stand in the way.
        for _ in 0..<2 {
            if try files.publish(blob.staged.entry, blob.staged.file, to: target) { return .published }
            if try store.isSound(target, blob.digest, size: blob.size, hashing: true) {
                try blob.staged.discard()
                return .present
            }
        }
        throw SluiceError(
            .fileSystem,
            object: target.path,
            "damaged files keep coming back under this name",
            remedy: "find out which host writes them"
        )
    }
}

extension Result {
    fileprivate var isSuccess: Bool { (try? get()) != nil }
}
