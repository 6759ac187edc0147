import SluiceBytes
import SluicePipeline

/// A small pointer beside a mirror: which manifest a branch, tag or version stands for, and stood for before.
package struct MirrorRef: Sendable, Hashable {
    /// What a ref stood for since a moment.
    package struct Entry: Sendable, Hashable {
        /// Of the manifest's file.
        package var manifest: Digest
        /// What the ref had resolved to.
        package var revision: String
        /// Seconds since 1970.
        package var since: Int64

        package init(manifest: Digest, revision: String, since: Int64) {
            self.manifest = manifest
            self.revision = revision
            self.since = since
        }
    }

    static let format = "sluice-mirror-ref"
    static let version = 1
    package static let limit = ByteCount.mebibytes(4)
    /// The history goes back so far.
    static let most = 1_000

    package let name: String
    /// The newest first.
    package private(set) var entries: [Entry]
    /// The manifest that was current when everything was deleted that earlier ones brought and it does not have.
    package private(set) var cleared: Digest?

    /// A ref that stands for something for the first time.
    package init(name: String, _ entry: Entry) {
        self.name = name
        entries = [entry]
    }

    package var current: Entry { entries[0] }

    /// Manifests before the current one of which files may still be there that it does not have.
    package var leftovers: [Digest] {
        if cleared == current.manifest { return [] }
        let end = entries.firstIndex { $0.manifest == cleared }.map { $0 + 1 } ?? entries.count
        var known: Set<Digest> = [current.manifest]
        return entries[..<end].map(\.manifest).filter { known.insert($0).inserted }
    }

    /// The ref once nothing is left of what is not in its current manifest.
    package func clearedUp() -> MirrorRef {
        var cleared = self
        cleared.cleared = current.manifest
        return cleared
    }

    /// The ref as it stands for `entry` from now on.
    package func moved(to entry: Entry) -> MirrorRef {
        var moved = self
        // The same manifest again is no news.
        if entry.manifest != current.manifest { moved.entries = Array(([entry] + entries).prefix(MirrorRef.most)) }
        return moved
    }

    private struct Form: Codable {
        let format: String
        let version: Int
        let ref: String
        let history: [EntryForm]
        let cleared: String?
    }

    private struct EntryForm: Codable {
        let manifest: String
        let revision: String
        let since: String
    }

    /// The bytes of its file.
    package func encoded() throws(SluiceError) -> [UInt8] {
        try MirrorRecord.encode(
            Form(
                format: MirrorRef.format,
                version: MirrorRef.version,
                ref: name,
                history: entries.map {
                    EntryForm(manifest: $0.manifest.hex, revision: $0.revision, since: MirrorRecord.text(of: $0.since))
                },
                cleared: cleared?.hex
            )
        )
    }

    /// - Throws: `.badAnswer` for anything that this program would not have written, `.unsupported` for a later form.
    package init(_ bytes: [UInt8], _ object: String) throws(SluiceError) {
        let form = try MirrorRecord.decode(Form.self, bytes, object)
        try MirrorRecord.check(form.format, MirrorRef.format, form.version, MirrorRef.version, object)
        let entries = form.history.compactMap { entry in
            Digest(.sha256, hex: entry.manifest).flatMap { digest in
                MirrorRecord.time(entry.since).map { Entry(manifest: digest, revision: entry.revision, since: $0) }
            }
        }
        guard !entries.isEmpty, entries.count == form.history.count else {
            throw MirrorRecord.damaged(object, "its history is empty, or a digest or a time in it is none")
        }
        name = form.ref
        self.entries = entries
        cleared = form.cleared.flatMap { Digest(.sha256, hex: $0) }
    }
}
