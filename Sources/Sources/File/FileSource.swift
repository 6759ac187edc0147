import Glibc
import SluiceBytes
import SluicePipeline

/// A file, or a tree of files, of the local file system.
///
/// Symbolic links are followed, as `aws s3 cp` does; those that dangle or lead in a circle are named and skipped, and
/// so is whatever is neither a regular file nor a directory. Names are bytes.
package struct FileSource: Source {
    private let path: LocalPath
    private let time: any TimeSource

    package var location: String { path.description + (path.namesDirectory ? "/" : "") }

    /// A source at `path`: relative to the working directory, absolute, or a `file:` URL.
    ///
    /// - Throws: `.usage` if the path is empty, holds a NUL, or is a `file:` URL of another host.
    package init(path text: String, time: any TimeSource = SystemTime()) throws(SluiceError) {
        guard let path = LocalPath(text) else {
            throw SluiceError(.usage, object: Printable.text(text), "this is no path of this machine")
        }
        self.path = path
        self.time = time
    }

    package func isSingleObject() async throws -> Bool {
        if path.namesDirectory { return false }
        do {
            return try FileStatus(path.bytes, following: true).kind != .directory
        } catch {
            throw SluiceError(error, "look at it", object: location)
        }
    }

    /// In the order of S3: by the bytes of the keys, in which a directory's name ends in `/`. Holds the names of one
    /// directory per level.
    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let walk = FileWalk(path, recursive: recursive)
        return AsyncThrowingStream { try walk.next() }
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let components = relativeKey.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isForeign = relativeKey.bytes.contains(0) || components.contains { $0 == [0x2E, 0x2E] || $0 == [0x2E] }
        guard !isForeign else {
            throw SluiceError(.unsafeName, object: relativeKey.description, "no listing of a directory has this key")
        }
        let place = relativeKey.bytes.isEmpty ? path : path.appending(relativeKey.bytes)
        return FileObject(path: place, time: time)
    }
}
