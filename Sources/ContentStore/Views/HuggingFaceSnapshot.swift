import Glibc
import SluiceBytes
import SluicePipeline

/// A snapshot as it is on the disk, for who compares it with what it should be. Below the repository no link is followed.
package struct HuggingFaceSnapshot: Sendable {
    /// What a snapshot has under a file's path.
    package enum Found: Sendable, Hashable {
        /// A link to the blob, another name of it, or a file of the same bytes.
        case whole
        case missing
        /// A link, or something else, that is not the file; for people.
        case other(String)
    }

    private let cache: HuggingFaceCache
    private let place: HuggingFacePlace

    /// - Parameter repository: the directory `models--org--name`.
    package init(repository: LocalPath, commit: String) {
        cache = HuggingFaceCache(repository)
        place = HuggingFacePlace(repository: [], commit: commit)
    }

    /// - Throws: `.usage` if the repository itself is a link.
    package static func refuseLink(_ repository: LocalPath) throws(SluiceError) {
        guard (try? FileStatus(repository.bytes).kind) == .symlink else { return }
        throw SluiceError(
            .usage,
            object: repository.description,
            "is a symbolic link, and the repository of a cache is a directory: it is not followed",
            remedy: "name the cache that the link leads to"
        )
    }

    /// What a link to the blob says, for people.
    package static func link(to file: HuggingFaceCache.File) throws(SluiceError) -> String {
        let entry = SnapshotEntry(path: file.path, name: try SafeName(file.path), etag: Array(file.etag.utf8))
        return "a link to \(Printable.text(entry.target))"
    }

    /// - Parameter reading: whether a file in a link's place is read; else its length is compared.
    package func found(_ file: HuggingFaceCache.File, reading: Bool) throws(SluiceError) -> Found {
        let name = try SafeName(file.path)
        let components = place.snapshot + name.directories
        guard let directory = try cache.root.directory(components, creating: false) else { return .missing }
        do throws(SystemFailure) {
            let status = try FileStatus(name.base, in: directory)
            switch status.kind {
            case .symlink:
                let target = try directory.destination(ofLink: name.base)
                let wanted = SnapshotEntry(path: file.path, name: name, etag: Array(file.etag.utf8)).target
                return target == wanted ? .whole : .other("a link to \(Printable.text(target))")
            case .regular:
                guard status.size == file.size else { return .other("a file of \(status.size) bytes") }
                if !reading { return .whole }
                let found = try HuggingFaceCache.digest(name.base, in: directory)
                return found == file.sha256 ? .whole : .other("a file with \(found)")
            default: return .other(status.kind.rawValue)
            }
        } catch {
            if error.number == ENOENT { return .missing }
            throw SluiceError(error, "look at the snapshot", object: "\(file.path)")
        }
    }

    /// Every path that the snapshot has a link or a file under, in no order.
    package func paths() throws(SluiceError) -> [ObjectKey] {
        var paths: [ObjectKey] = []
        var rest: [[[UInt8]]] = [[]]
        while let below = rest.popLast() {
            guard let directory = try cache.root.directory(place.snapshot + below, creating: false) else { continue }
            do throws(SystemFailure) {
                for name in try DirectoryNames.read(directory) {
                    if try FileStatus(name, in: directory).kind == .directory {
                        rest.append(below + [name])
                    } else {
                        paths.append(ObjectKey(bytes: (below + [name]).joined(separator: [UInt8(ascii: "/")])))
                    }
                }
            } catch {
                let path = cache.root.path.appending((place.snapshot + below).joined(separator: [UInt8(ascii: "/")]))
                throw SluiceError(error, "list the snapshot", object: path.description)
            }
        }
        return paths
    }

    /// What a branch names; nil if there is no such file.
    package func commit(of branch: String) throws(SluiceError) -> String? {
        let name = try SafeName(ObjectKey(branch))
        let components = [HuggingFacePlace.refs] + name.directories
        guard let directory = try cache.root.directory(components, creating: false) else { return nil }
        do throws(SystemFailure) {
            let file = try OwnedDescriptor.open(name.base, in: directory, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            var bytes = [UInt8](repeating: 0, count: 100)
            let outcome = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(SystemFailure) in try file.read(into: buffer, at: 0) }
            }
            return String(decoding: bytes.prefix(try outcome.get()), as: UTF8.self)
        } catch {
            if error.number == ENOENT { return nil }
            throw SluiceError(error, "read the branch", object: cache.root.path.description + "/refs/\(branch)")
        }
    }

    /// Whether a commit has a snapshot beside this one.
    package func hasSnapshot(_ commit: String) -> Bool {
        guard HuggingFaceRepository.isSHA1(commit) else { return false }
        return (try? cache.root.directory(place.snapshots + [Array(commit.utf8)], creating: false)) != nil
    }

    /// Puts links to blobs that are there, proven, back in their places, and the branch.
    package func mend(_ files: [HuggingFaceCache.File], branch: String?) throws(SluiceError) {
        try cache.write(place, files, branch: branch, tree: nil, replacing: true)
    }
}
