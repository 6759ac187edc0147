import SluiceBytes
import SluicePipeline

/// Git's names of directories, made anew from those of what is in them: a listing whose directory has the published
/// name leaves out nothing of it, and adds nothing.
///
/// A tree object is `mode SP name NUL id` for each entry, in the order of their names, where a directory's name counts
/// with a `/` behind it (git, Documentation/gitformat-pack and `base_name_compare`). No hub tells modes: files are
/// taken for plain ones, and then one after the other for executable ones.
package struct GitTree: Sendable {
    /// Directories with more files are compared only with all of them plain.
    private static let mostTries = 64

    private struct Entry {
        let name: [UInt8]
        let isDirectory: Bool
        let id: [UInt8]

        var sortKey: [UInt8] { isDirectory ? name + [UInt8(ascii: "/")] : name }
    }

    /// How many directories of a tree have published names, and how many of these were made anew.
    package static func proven(in tree: SourceTree) -> (published: Int, proven: Int) {
        var entries: [ObjectKey: [Entry]] = [:]
        // Something is not listed as it is: no directory above it can be made anew.
        var unknown: Set<ObjectKey> = Set(tree.refused.keys.flatMap(parents))
        for file in tree.files {
            let (parent, name) = split(file.path)
            guard let object = file.object else {
                unknown.formUnion(parents(file.path))
                continue
            }
            entries[parent, default: []].append(Entry(name: name, isDirectory: false, id: object.bytes))
        }
        for (path, object) in tree.directories {
            let (parent, name) = split(path)
            entries[parent, default: []].append(Entry(name: name, isDirectory: true, id: object.bytes))
        }
        let proven = tree.directories.count { path, object in
            !unknown.contains(path) && isName(object, of: entries[path] ?? [])
        }
        return (tree.directories.count, proven)
    }

    private static func isName(_ object: Digest, of entries: [Entry]) -> Bool {
        let sorted = entries.sorted { $0.sortKey.lexicographicallyPrecedes($1.sortKey) }
        if name(of: sorted, executable: nil) == object { return true }
        guard sorted.count <= mostTries else { return false }
        return sorted.indices.contains { !sorted[$0].isDirectory && name(of: sorted, executable: $0) == object }
    }

    private static func name(of entries: [Entry], executable: Int?) -> Digest {
        var body: [UInt8] = []
        for (index, entry) in entries.enumerated() {
            body += (entry.isDirectory ? "40000 " : index == executable ? "100755 " : "100644 ").utf8
            body += entry.name + [0] + entry.id
        }
        let digest = RunningDigest(.sha1)
        (Array("tree \(body.count)".utf8) + [0] + body).withUnsafeBytes { digest.update($0) }
        guard let name = Digest(.gitSHA1, bytes: digest.finish().bytes) else {
            preconditionFailure("both are SHA-1")
        }
        return name
    }

    private static func split(_ path: ObjectKey) -> (parent: ObjectKey, name: [UInt8]) {
        guard let slash = path.bytes.lastIndex(of: UInt8(ascii: "/")) else { return (ObjectKey(""), path.bytes) }
        return (ObjectKey(bytes: path.bytes[..<slash]), Array(path.bytes[(slash + 1)...]))
    }

    private static func parents(_ path: ObjectKey) -> [ObjectKey] {
        var parents: [ObjectKey] = []
        var next = split(path).parent
        while !next.bytes.isEmpty {
            parents.append(next)
            next = split(next).parent
        }
        return parents + [ObjectKey("")]
    }
}
