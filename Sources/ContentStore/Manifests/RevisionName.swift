import SluiceBytes
import SluicePipeline

/// What the manifests of one tree are known by: what kind of thing it is, its name, and which revision of it.
package struct RevisionName: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Of trees that people name themselves, rather than a hub.
    package static let plainKind = "files"
    /// The revision of a tree of which nobody named one.
    package static let mainRevision = "main"

    /// Room for a revision in its escaped form beside a digest and the suffix of a manifest's file.
    private static let room = 255 - 1 - 64 - Manifest.suffix.utf8.count

    package let kind: String
    package let name: String
    package let revision: String
    let kindDirectory: StoreName
    let nameDirectory: StoreName
    let revisionName: StoreName

    /// - Throws: `.unsafeName` if one of them is empty or too long to be kept.
    package init(
        kind: String = RevisionName.plainKind,
        name: String,
        revision: String = RevisionName.mainRevision
    ) throws(SluiceError) {
        self.kind = kind
        self.name = name
        self.revision = revision
        kindDirectory = try StoreName(escaping: kind)
        nameDirectory = try StoreName(escaping: name)
        revisionName = try StoreName(escaping: revision, room: RevisionName.room)
    }

    /// From the names in the store; nil if they are none that `init` makes.
    init?(kind: StoreName, name: StoreName, revision: StoreName) {
        guard let kind = kind.unescaped, let name = name.unescaped, let revision = revision.unescaped,
            let whole = try? RevisionName(kind: kind, name: name, revision: revision)
        else { return nil }
        self = whole
    }

    /// As in a location: `NAME@REVISION`, with `KIND:` in front of what a hub named.
    package var description: String {
        Printable.text((kind == RevisionName.plainKind ? "" : "\(kind):") + "\(name)@\(revision)")
    }

    package static func < (left: RevisionName, right: RevisionName) -> Bool {
        (left.kindDirectory, left.nameDirectory, left.revisionName)
            < (right.kindDirectory, right.nameDirectory, right.revisionName)
    }
}

/// The name of a manifest's file, `<revision>.<SHA-256 of its bytes>.json`: what was damaged shows by itself, and the
/// same manifest published twice is one file.
struct ManifestFileName: Hashable, Sendable {
    let revision: StoreName
    let digest: Digest

    init(_ revision: StoreName, _ digest: Digest) {
        self.revision = revision
        self.digest = digest
    }

    /// Nil if it is no manifest's.
    init?(_ name: StoreName) {
        guard let stem = name.dropping(Manifest.suffix), stem.bytes.count > 65,
            let digest = StoreName(stem.bytes.suffix(64))?.digest,
            stem.bytes[stem.bytes.count - 65] == UInt8(ascii: "."),
            let revision = StoreName(stem.bytes.dropLast(65))
        else { return nil }
        self.revision = revision
        self.digest = digest
    }

    var name: StoreName {
        guard let name = revision.appending(".\(digest.hex)\(Manifest.suffix)") else {
            preconditionFailure("a revision's name leaves room for the rest")
        }
        return name
    }
}
