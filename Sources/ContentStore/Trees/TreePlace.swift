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
    /// A revision or, for readers, a head, whose slashes may be written `%2F`. Nil if none was named: a reader takes the
    /// head `main` (of Ollama's `latest`), a writer the revision of that name.
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
    ///
    /// - Throws: `.usage` if none was named and readers are led to another than the usual one.
    package func revisionToWrite(in store: ContentStore) throws(SluiceError) -> RevisionName {
        let name = try named()
        guard revision == nil, let head = try store.head(usualRevision, kind: kind, name: self.name),
            head != name
        else { return name }
        throw SluiceError(
            .usage,
            object: "\(name)",
            "readers of it are led to the revision \(head.revision), by the head \(usualRevision)",
            remedy: "name the revision that you mean: \(head), or another one for a tree of your own"
        )
    }

    /// The revision to read: the named one, or that of the head of that name; the usual one if none was named.
    ///
    /// - Throws: `.digestMismatch` if a head names one whose only manifest was damaged and set aside.
    package func revisionToRead(in store: ContentStore) throws(SluiceError) -> RevisionName {
        let name = try named()
        if revision != nil, try store.has(name) { return name }
        for branch in [name.revision, TreePlace.branch(name.revision)] {
            guard let head = try store.head(branch, kind: kind, name: self.name) else { continue }
            if try store.has(head) { return head }
            // Removed, and then it leads nobody astray; or lost, and then what it stood for is not the usual revision.
            try store.checkWhole(head)
        }
        return name
    }

    /// How a branch is written in a location: `refs%2Fpr%2F1`.
    package static func written(branch: String) -> String { branch.replacing("/", with: "%2F") }

    private static func branch(_ written: String) -> String {
        written.replacing("%2F", with: "/").replacing("%2f", with: "/")
    }

    private func named() throws(SluiceError) -> RevisionName {
        try RevisionName(kind: kind, name: name, revision: revision ?? usualRevision)
    }

    /// As the tools of that kind have it.
    private var usualRevision: String { kind == "ollama" ? "latest" : RevisionName.mainRevision }
}
