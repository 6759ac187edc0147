import Glibc
import SluiceBytes
import SluicePipeline

/// What a dead writer had of a blob, in a file of this writer's own.
package struct AdoptedBlob: Sendable {
    package let staged: StagedBlob
    /// The hash of all that is in it: the pipeline goes on from here.
    package let hash: SHA256
}

extension StoreWriter {
    /// A new file for a blob whose digest is known: another writer can find it if this one dies.
    package func stage(for digest: Digest) throws(SluiceError) -> StagedBlob {
        let entry = temporary(".\(digest.hex).part")
        return StagedBlob(entry: entry, file: try files.create(entry), files: files)
    }

    /// Takes over what a writer without a live lease had of a blob; nil if there is nothing.
    ///
    /// One adopter wins, by a rename. The bytes go into a new file, cloned where the file system can: whoever looks
    /// dead may only be asleep, with its file open for writing, and must not reach a blob that was proven meanwhile.
    package func adopt(_ digest: Digest, pool: BufferPool) throws(SluiceError) -> AdoptedBlob? {
        let now = try clock.now()
        for owner in try files.knownNames(in: store.layout.staging) where owner != id {
            // Whose lease cannot be read may be alive.
            guard let lease = try? store.lease(of: owner, at: now) else {
                if try isHeld(owner) { continue }
                if let adopted = try adopt(digest, from: owner, pool) { return adopted }
                continue
            }
            if !lease.isAlive, let adopted = try adopt(digest, from: owner, pool) { return adopted }
        }
        return nil
    }

    private func isHeld(_ owner: StoreName) throws(SluiceError) -> Bool {
        guard let name = Lease.name(owner) else { return true }
        return try files.status(StoreEntry(name, in: store.layout.leases)) != nil
    }

    private func adopt(
        _ digest: Digest,
        from owner: StoreName,
        _ pool: BufferPool
    ) throws(SluiceError) -> AdoptedBlob? {
        guard let directory = try files.directory(owner, in: store.layout.staging) else { return nil }
        for name in try files.knownNames(in: directory) where name.dropping(".\(digest.hex).part") != nil {
            let found = StoreEntry(name, in: directory)
            let mine = temporary(".adopted")
            do throws(SystemFailure) {
                try files.operations.rename(found, to: mine)
            } catch {
                // Another host was first, or our own rename's reply was lost.
                guard error.number == ENOENT else { throw SluiceError(error, "adopt", object: found.path) }
            }
            guard let (source, _) = try files.open(mine) else { continue }
            let adopted = try copy(source, digest, pool)
            try files.remove(mine)
            return adopted
        }
        return nil
    }

    private func copy(
        _ source: OwnedDescriptor,
        _ digest: Digest,
        _ pool: BufferPool
    ) throws(SluiceError) -> AdoptedBlob {
        let staged = try stage(for: digest)
        if (try? files.operations.clone(source, into: staged.file)) != nil {
            return AdoptedBlob(staged: staged, hash: try files.digest(of: staged.file, pool: pool, staged.entry.path))
        }
        let hash = try files.digest(of: source, pool: pool, staged.entry.path) { (chunk, offset) throws(SluiceError) in
            try staged.write(chunk, at: offset)
        }
        return AdoptedBlob(staged: staged, hash: hash)
    }
}
