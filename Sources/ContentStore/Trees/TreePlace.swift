import SluiceBytes
import SluicePipeline

/// A place in a store, as the end of a location names it: `[KIND:]NAME[@REVISION][/PATH]`.
///
/// A name is one component; that of a hub's tree (`hf:org/name`) is two. A file may have an `@` in its own name.
package struct TreePlace: Hashable, Sendable {
    /// Kinds whose names are `OWNER/NAME`.
    private static let owned: Set<String> = ["hf", "hf-dataset", "hf-space", "modelscope", "ollama"]

    package let kind: String
    package let name: String
    /// Nil if none was named: a reader takes the head `main`, a writer the revision `main`.
    package let revision: String?
    /// Below the tree; empty for the tree itself.
    package let path: ObjectKey
    /// Whether it was written with a `/` at its end.
    package let namesContainer: Bool

    /// Nil for the store itself.
    ///
    /// - Parameter components: what follows the store's root.
    /// - Throws: `.usage` for a name that is none.
    package init?(_ components: [[UInt8]], _ object: String) throws(SluiceError) {
        let parts = components.filter { !$0.isEmpty }
        guard let first = parts.first else { return nil }
        var name = try TreePlace.text(first, object)
        var kind = RevisionName.plainKind
        if let colon = name.firstIndex(of: ":") {
            kind = String(name[..<colon])
            name = String(name[name.index(after: colon)...])
        }
        var used = 1
        if TreePlace.owned.contains(kind), !name.isEmpty, !name.contains("@"), parts.count > 1 {
            name += "/" + (try TreePlace.text(parts[1], object))
            used = 2
        }
        var revision: String?
        if let at = name.firstIndex(of: "@") {
            revision = String(name[name.index(after: at)...])
            name = String(name[..<at])
        }
        guard !kind.isEmpty, !name.isEmpty, revision != "" else {
            throw SluiceError(
                .usage,
                object: object,
                "below the store's root comes [KIND:]NAME[@REVISION][/PATH], and a part of it is empty"
            )
        }
        self.kind = kind
        self.name = name
        self.revision = revision
        path = ObjectKey(bytes: Array(parts.dropFirst(used).joined(separator: [UInt8(ascii: "/")])))
        namesContainer = components.last?.isEmpty ?? false
    }

    private static func text(_ component: [UInt8], _ object: String) throws(SluiceError) -> String {
        guard let text = ObjectKey(bytes: component).losslessText else {
            throw SluiceError(.usage, object: object, "the name of a tree is UTF-8 text")
        }
        return text
    }

    /// The revision to write to.
    package func revisionToWrite() throws(SluiceError) -> RevisionName {
        try RevisionName(kind: kind, name: name, revision: revision ?? RevisionName.mainRevision)
    }

    /// The revision to read: the named one, or that of the head `main`, or the revision `main`.
    package func revisionToRead(in store: ContentStore) throws(SluiceError) -> RevisionName {
        if revision == nil, let head = try store.head(RevisionName.mainRevision, kind: kind, name: name) { return head }
        return try revisionToWrite()
    }
}
