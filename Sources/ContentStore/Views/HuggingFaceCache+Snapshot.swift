import Glibc
import SluiceBytes
import SluicePipeline

extension HuggingFaceCache {
    /// Puts a file in a link's place, where there are no links; or accepts what has the link's name already, and throws
    /// if that is anything but the same bytes.
    typealias Substitute = (SnapshotEntry, PlaceDirectory) throws(SluiceError) -> Void

    /// Makes the snapshot: aside and renamed in where there is none; else what is missing in it is added.
    ///
    /// - Parameter replacing: links that lead elsewhere give way.
    func publish(
        _ entries: [SnapshotEntry],
        _ place: HuggingFacePlace,
        replacing: Bool,
        else substitute: Substitute
    ) throws(SluiceError) {
        if try root.directory(place.snapshot, creating: false) == nil {
            // Not in `snapshots`, where huggingface_hub takes every directory for a commit.
            let aside = place.repository + [HuggingFaceCache.temporaryName(Array("snapshot".utf8))]
            do throws(SluiceError) {
                try fill(aside, entries, replacing, substitute)
                if try rename(aside, to: place) { return }
                remove(aside, entries)
            } catch {
                remove(aside, entries)
                throw error
            }
        }
        // Each link that is added is whole; none that is there is touched.
        try fill(place.snapshot, entries, replacing, substitute)
        try sync([place.snapshots, place.repository])
    }

    private func fill(
        _ base: [[UInt8]],
        _ entries: [SnapshotEntry],
        _ replacing: Bool,
        _ substitute: Substitute
    ) throws(SluiceError) {
        var directories: Set<[[UInt8]]> = [base]
        // One directory after another, each opened once.
        let sorted = entries.sorted { left, right in
            left.name.directories.lexicographicallyPrecedes(right.name.directories) { $0.lexicographicallyPrecedes($1) }
        }
        var current = (components: base, directory: try directory(base))
        for entry in sorted {
            let components = base + entry.name.directories
            if components != current.components { current = (components, try directory(components)) }
            try add(entry, to: current.directory, replacing, substitute)
            for depth in base.count...components.count { directories.insert(Array(components.prefix(depth))) }
        }
        try sync(directories)
    }

    private func add(
        _ entry: SnapshotEntry,
        to directory: PlaceDirectory,
        _ replacing: Bool,
        _ substitute: Substitute
    ) throws(SluiceError) {
        do throws(SystemFailure) {
            try calls.symlink(entry.target, (entry.name.base, directory.descriptor))
        } catch {
            switch error.number {
            case EEXIST: try check(entry, in: directory, replacing, substitute)
            // SMB and some object stores have no links. Readers take a plain file as well.
            case EPERM, ENOTSUP, ENOSYS, EINVAL: try substitute(entry, directory)
            default: throw SluiceError(error, "make the link", object: directory.path(of: entry.name.base))
            }
        }
    }

    /// Something has the name: it stays if it leads to the same bytes.
    private func check(
        _ entry: SnapshotEntry,
        in directory: PlaceDirectory,
        _ replacing: Bool,
        _ substitute: Substitute
    ) throws(SluiceError) {
        let name = entry.name.base
        // What `blobs` has under the etag was looked at before.
        if (try? directory.descriptor.destination(ofLink: name)) == entry.target { return }
        guard replacing, (try? FileStatus(name, in: directory.descriptor))?.kind == .symlink else {
            return try substitute(entry, directory)
        }
        let temporary = HuggingFaceCache.temporaryName(name)
        do throws(SystemFailure) {
            try calls.symlink(entry.target, (temporary, directory.descriptor))
            try directory.descriptor.rename(temporary, to: name)
        } catch {
            try? directory.descriptor.unlink(temporary)
            throw SluiceError(error, "replace the link", object: directory.path(of: name))
        }
    }

    /// False if somebody else has made the snapshot meanwhile.
    private func rename(_ aside: [[UInt8]], to place: HuggingFacePlace) throws(SluiceError) -> Bool {
        let repository = try directory(place.repository)
        let snapshots = try directory(place.snapshots)
        do throws(SystemFailure) {
            CrashPoint.step()
            // rename(2): a directory takes the place of an empty one at most.
            try repository.descriptor.rename(
                aside[aside.count - 1],
                to: Array(place.commit.utf8),
                in: snapshots.descriptor
            )
            CrashPoint.step()
        } catch {
            if [EEXIST, ENOTEMPTY].contains(error.number) { return false }
            throw SluiceError(error, "give the snapshot its name", object: snapshots.path(of: Array(place.commit.utf8)))
        }
        try sync([place.snapshots, place.repository])
        return true
    }

    /// Takes a snapshot that was not finished away, as far as that goes.
    private func remove(_ aside: [[UInt8]], _ entries: [SnapshotEntry]) {
        var directories: Set<[[UInt8]]> = [aside]
        for entry in entries {
            let components = aside + entry.name.directories
            for depth in aside.count...components.count { directories.insert(Array(components.prefix(depth))) }
            guard let directory = try? root.directory(components, creating: false) else { continue }
            try? directory.unlink(entry.name.base)
        }
        for components in directories.sorted(by: { $0.count > $1.count }) {
            guard let parent = try? root.directory(Array(components.dropLast()), creating: false) else { continue }
            try? parent.removeDirectory(components[components.count - 1])
        }
    }
}
