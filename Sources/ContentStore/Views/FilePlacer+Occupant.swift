import Glibc
import SluiceBytes
import SluicePipeline

/// What has a file's name already.
extension FilePlacer {
    enum Occupant {
        case nobody
        /// The same content, and fit to stay.
        case same
        /// The same content, but writing to it would change the blob.
        case mayGo
        case other(String)
    }

    func occupant(of name: [UInt8], in directory: PlaceDirectory, _ blob: Located) throws(SluiceError) -> Occupant {
        let object = directory.path(of: name)
        let status: FileStatus
        do throws(SystemFailure) {
            status = try FileStatus(name, in: directory.descriptor)
        } catch {
            if error.number == ENOENT { return .nobody }
            throw SluiceError(error, "look at what is there", object: object)
        }
        switch status.kind {
        case .regular:
            if status.isSameFile(as: blob.status) { return try shared(blob, object) }
            if status.size != blob.status.size { return .other("a file of \(status.size) bytes") }
            return try compare(name, directory, blob)
        case .symlink:
            let target = try? FileStatus(name, in: directory.descriptor, following: true)
            guard let target, target.isSameFile(as: blob.status) else { return .other("a symbolic link") }
            return try shared(blob, object)
        default: return .other(status.kind.rawValue)
        }
    }

    private func shared(_ blob: Located, _ object: String) throws(SluiceError) -> Occupant {
        if options.writable { return .mayGo }
        if options.verify { try verify(try open(blob), blob, object) }
        return .same
    }

    private func compare(
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ blob: Located
    ) throws(SluiceError) -> Occupant {
        let object = directory.path(of: name)
        let file: OwnedDescriptor
        do throws(SystemFailure) {
            file = try OwnedDescriptor.open(name, in: directory.descriptor, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        } catch {
            if error.number == ENOENT { return .nobody }
            throw SluiceError(error, "read what is there", object: object)
        }
        let found = try hash(file, object)
        if found != blob.digest { return .other("a file of the same length with SHA-256 \(found.hex)") }
        // Whoever put it there may not have synced it.
        do throws(SystemFailure) {
            try calls.sync(file)
        } catch {
            throw SluiceError(error, "make the file durable", object: object, retry: .restart)
        }
        return .same
    }

    func occupied(
        _ name: [UInt8],
        _ directory: PlaceDirectory,
        _ found: String,
        _ blob: Located
    ) -> SluiceError {
        SluiceError(
            .exists,
            object: directory.path(of: name),
            "\(found) is there, and a file of \(blob.status.size) bytes with SHA-256 \(blob.digest.hex) shall be",
            remedy: "remove it, choose another directory, or replace it with --overwrite"
        )
    }
}
