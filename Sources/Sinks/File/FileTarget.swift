import Glibc
import SluiceBytes
import SluicePipeline

/// The place of one file below a root.
package struct FileTarget: SinkTarget {
    package let location: String
    let root: DirectoryRoot
    let name: SafeName
    let group: SyncGroup

    package var host: String { "file" }

    /// Any offset, any order; 16 MiB parts keep the journal small beside the bytes.
    package var capabilities: SinkCapabilities { SinkCapabilities(shape: .positioned) }

    init(root: DirectoryRoot, name: SafeName, group: SyncGroup) {
        self.root = root
        self.name = name
        self.group = group
        location = root.path.appending(name.components.joined(separator: [UInt8(ascii: "/")])).description
    }

    /// - Throws: `.exists` if something that is no regular file has the name: it is never followed nor replaced.
    package func existing() async throws -> StoredObject? {
        guard let directory = try root.directory(name.directories, creating: false),
            let status = try occupant(in: directory)
        else { return nil }
        return stored(status)
    }

    /// Reads and hashes the file; nil if it changed since `stored` was seen.
    package func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? {
        guard let directory = try root.directory(name.directories, creating: false) else { return nil }
        do {
            let file = try OwnedDescriptor.open(name.base, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            guard try self.stored(file.status()).fingerprint == stored.fingerprint else { return nil }
            let found = try FileContent.digest(digest.algorithm, of: file, pool: pool)
            guard try self.stored(file.status()).fingerprint == stored.fingerprint else { return nil }
            return found == digest
        } catch let failure as SystemFailure {
            if failure.number == ENOENT || failure.number == ELOOP { return nil }
            throw SluiceError(failure, "read what is there", object: location)
        }
    }

    /// Copies, or clones where the file system can, a file of this machine. Its bytes are hashed as they stand in the
    /// new file: nil if they are not those of `digest`.
    package func adopt(
        _ stored: StoredObject,
        digest: Digest,
        overwrite: OverwritePolicy
    ) async throws -> StoredObject? {
        guard let path = LocalPath(stored.location), stored.location != location else { return nil }
        let original: OwnedDescriptor
        do {
            original = try OwnedDescriptor.open(path.bytes, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            let status = try original.status()
            guard status.kind == .regular, self.stored(status).fingerprint == stored.fingerprint else { return nil }
        } catch {
            // Not there or not readable: the bytes are then fetched.
            return nil
        }
        let pin = Pin.weak(size: stored.size, modified: nil)
        let info = ObjectInfo(size: stored.size, pin: pin, supportsRanges: true)
        let plan = WritePlan(
            size: stored.size,
            partSize: 16 << 20,
            info: info,
            overwrite: overwrite,
            replaces: try await existing()?.fingerprint
        )
        let session = try start(plan)
        do {
            try await session.prepare()
            guard try session.copy(from: original, size: stored.size, digest: digest) else {
                await session.abort()
                return nil
            }
            let sha256 = digest.algorithm == .sha256 ? digest : nil
            return try await session.commit(CommitRequest(size: stored.size, sha256: sha256, receipts: []))
        } catch {
            await session.abort()
            throw error
        }
    }

    package func begin(_ plan: WritePlan) async throws -> any SinkSession {
        try start(plan)
    }

    package func beginSharing(_ source: any SourceObject, _ plan: WritePlan) async throws -> (any SinkSession)? {
        guard let source = source as? any LocalFileObject,
            let directory = try root.directory(name.directories, creating: true)
        else { return nil }
        let original = try source.openFile(plan.info)
        do {
            let device = try directory.status().device
            guard try group.clones.mayClone(original, to: device) else { return nil }
            let temporary = try FileTemporary.create(for: name.base, in: directory)
            if try temporary.clone(original) { return FileSession(target: self, temporary: temporary, plan: plan) }
            try group.clones.refuse(original, to: device)
            return nil
        } catch {
            throw SluiceError(error, "clone \(source.location)", object: location).needing(plan.size)
        }
    }

    // MARK: - Looking

    /// What has the final name, looked at without following it.
    func occupant(in directory: OwnedDescriptor) throws(SluiceError) -> FileStatus? {
        let status: FileStatus
        do {
            status = try FileStatus(name.base, in: directory)
        } catch let error where error.number == ENOENT {
            return nil
        } catch {
            throw SluiceError(error, "look at the target", object: location)
        }
        guard status.kind == .regular else {
            throw SluiceError(
                .exists,
                object: location,
                "\(status.kind.rawValue) has the name of the target",
                remedy: "remove it, or choose another target: only regular files are replaced"
            )
        }
        return status
    }

    func stored(_ status: FileStatus) -> StoredObject {
        StoredObject(
            location: location,
            size: status.size,
            fingerprint: "\(status.inode):\(status.size):\(status.modified):\(status.changed)"
        )
    }

    // MARK: - Starting

    private func start(_ plan: WritePlan) throws(SluiceError) -> FileSession {
        let directory = try root.made(name.directories)
        _ = try occupant(in: directory)
        do {
            if let record = plan.resume, let old = try FileTemporary.reopen(record, size: plan.size, in: directory) {
                return FileSession(target: self, temporary: old, plan: plan, isResumed: true)
            }
            let made = try FileTemporary.create(for: name.base, in: directory)
            return FileSession(target: self, temporary: made, plan: plan)
        } catch {
            throw SluiceError(error, "make a temporary file", object: location).needing(plan.size)
        }
    }
}
