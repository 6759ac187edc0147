import SluiceBytes
import SluicePipeline

/// What a manifest is known by: what kind of thing it lists, its name, and which revision of it.
package struct ManifestName: Hashable, Sendable, Comparable, CustomStringConvertible {
    static let suffix = ".json"
    /// Room for a revision in its escaped form beside the suffix.
    private static let room = 255 - 5

    package let kind: String
    package let name: String
    package let revision: String
    let kindDirectory: StoreName
    let nameDirectory: StoreName
    let revisionName: StoreName

    /// - Throws: `.unsafeName` if one of them is empty or too long to be kept.
    package init(kind: String, name: String, revision: String) throws(SluiceError) {
        self.kind = kind
        self.name = name
        self.revision = revision
        kindDirectory = try StoreName(escaping: kind)
        nameDirectory = try StoreName(escaping: name)
        revisionName = try StoreName(escaping: revision, room: ManifestName.room)
    }

    /// From the names in the store; nil if they are not those of a manifest.
    init?(kind: StoreName, name: StoreName, file: StoreName) {
        guard let kindText = kind.unescaped, let nameText = name.unescaped,
            let revisionName = file.dropping(ManifestName.suffix), let revision = revisionName.unescaped,
            let whole = try? ManifestName(kind: kindText, name: nameText, revision: revision)
        else { return nil }
        self = whole
    }

    var file: StoreName { StoreName(revisionName.bytes + ManifestName.suffix.utf8) ?? revisionName }

    /// For people; not a path.
    package var description: String { Printable.text("\(kind) \(name)@\(revision)") }

    package static func < (left: ManifestName, right: ManifestName) -> Bool {
        (left.kindDirectory, left.nameDirectory, left.revisionName)
            < (right.kindDirectory, right.nameDirectory, right.revisionName)
    }
}
