import Glibc
import SluiceBytes
import SluicePipeline

/// A directory of the local file system, or the place of one file.
///
/// Files appear under their final names only when their bytes are durable: a temporary beside the target, fsync,
/// publication without clobbering, fsync of the directory. Nothing leaves the root (`SafeName`, `DirectoryRoot`).
package struct FileSink: Sink {
    let path: LocalPath
    let root: DirectoryRoot
    /// Makes files durable, those of other sinks with it; its counters tell how often the disk was asked.
    package let group: SyncGroup
    let time: any TimeSource
    private let parent: DirectoryRoot

    package var location: String { path.description + (path.namesDirectory ? "/" : "") }

    /// A sink at `path`: relative to the working directory, absolute, or a `file:` URL. Nothing is made before the
    /// first object.
    ///
    /// - Parameter group: shared by the sinks of one process, so that small files of all of them are synced together.
    /// - Throws: `.usage` if the path is empty, holds a NUL, or is a `file:` URL of another host.
    package init(
        path text: String,
        time: any TimeSource = SystemTime(),
        group: SyncGroup = SyncGroup()
    ) throws(SluiceError) {
        try self.init(path: text, time: time, group: group, usesOpenat2: true)
    }

    init(path text: String, time: any TimeSource, group: SyncGroup, usesOpenat2: Bool) throws(SluiceError) {
        guard let path = LocalPath(text) else {
            throw SluiceError(.usage, object: Printable.text(text), "this is no path of this machine")
        }
        self.path = path
        self.time = time
        self.group = group
        root = DirectoryRoot(path, usesOpenat2: usesOpenat2, sync: group.calls.directory)
        parent = DirectoryRoot(path.parent, usesOpenat2: usesOpenat2, sync: group.calls.directory)
    }

    /// Whether the path was written with a trailing `/`, ends in `.` or `..`, or is a directory now.
    package func isContainer() async throws -> Bool {
        if path.namesDirectory || path.isDotted { return true }
        do {
            return try FileStatus(path.bytes, following: true).kind == .directory
        } catch let error where error.number == ENOENT {
            return false
        } catch {
            throw SluiceError(error, "look at the target", object: location)
        }
    }

    package func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        if !relativeKey.bytes.isEmpty { return FileTarget(root: root, name: try name(relativeKey), group: group) }
        guard !path.namesDirectory, !path.isDotted else {
            throw SluiceError(.unsafeName, object: location, "a directory cannot hold the bytes of an object")
        }
        return FileTarget(root: parent, name: try name(ObjectKey(bytes: path.baseName)), group: group)
    }

    private func name(_ key: ObjectKey) throws -> SafeName {
        do {
            return try SafeName(key)
        } catch {
            throw error.about(location)
        }
    }
}
