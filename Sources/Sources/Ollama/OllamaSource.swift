import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

/// A model at a registry of Ollama: its manifest and blobs, where the Ollama program keeps them below its models, so that
/// a copy or a mirror can be used as `OLLAMA_MODELS`.
package final class OllamaSource: Source {
    private let name: OllamaName
    let registry: OllamaRegistry
    /// What the tag stood for when it was asked first: all that is listed and read after it is of that manifest.
    private let pinned = Mutex<OllamaManifest?>(nil)

    init(_ name: OllamaName, registry: OllamaRegistry) {
        self.name = name
        self.registry = registry
    }

    package var location: String { name.location }

    private func manifest() async throws -> OllamaManifest {
        if let known = pinned.withLock({ $0 }) { return known }
        let found = try await registry.connection.retry(location) { try await self.registry.manifest(self.name) }
        return pinned.withLock { pinned in
            let first = pinned ?? found
            pinned = first
            return first
        }
    }

    /// The files of a manifest: path, length, digest.
    private func files(_ manifest: OllamaManifest) -> [(path: ObjectKey, size: UInt64, digest: Digest)] {
        [(name.manifestPath, UInt64(manifest.bytes.count), manifest.digest)]
            + manifest.layers.map { ($0.path, $0.size, $0.digest) }
    }

    package func isSingleObject() async throws -> Bool {
        if name.path.bytes.isEmpty { return false }
        let files = files(try await manifest())
        if files.contains(where: { $0.path == name.path }) { return true }
        let start = HubListing.below(name.path)
        if files.contains(where: { $0.path.hasPrefix(start) }) { return false }
        throw nothing()
    }

    package func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        let path = relativeKey.bytes.isEmpty ? name.path : HubListing.below(name.path).appending(relativeKey)
        return registry.object(name.at(pinned.withLock { $0?.digest } ?? name.digest, path: path))
    }

    package func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        let items = Mutex<ArraySlice<ListingItem>?>(nil)
        return AsyncThrowingStream { [self] in
            if items.withLock({ $0 == nil }) {
                let made = try self.items(try await manifest(), recursive: recursive)
                items.withLock { $0 = made[...] }
            }
            return items.withLock { $0?.popFirst() }
        }
    }

    private func items(_ manifest: OllamaManifest, recursive: Bool) throws -> [ListingItem] {
        let listing = HubListing(place: name.path) { self.name.at(manifest.digest, path: $0).location }
        let start = HubListing.below(name.path)
        var items: [ListingItem] = []
        var directories: Set<ObjectKey> = []
        for file in files(manifest).sorted(by: { $0.path < $1.path }) {
            guard file.path == name.path || file.path.hasPrefix(start) else { continue }
            let below = file.path.bytes.dropFirst(start.bytes.count)
            if !recursive, let slash = below.firstIndex(of: UInt8(ascii: "/")) {
                let directory = ObjectKey(bytes: file.path.bytes[..<slash])
                if directories.insert(directory).inserted { items.append(try listing.directory(directory)) }
            } else {
                items.append(try listing.file(file.path, size: file.size, tag: file.digest.hex))
            }
        }
        if items.isEmpty { throw nothing() }
        return items
    }

    private func nothing() -> SluiceError {
        SluiceError(
            .notFound,
            object: location,
            "the model has no such file or directory",
            remedy: "sluice ls -r \(name.at(name.digest).location) shows what is there"
        )
    }
}

extension OllamaSource: RevisionedSource {
    /// The digest of the manifest that the tag stands for now.
    package func revision(named requested: String?) async throws -> SourceRevision {
        let asked = try source(at: requested)
        guard name.path.bytes.isEmpty else {
            throw SluiceError(
                .usage,
                object: location,
                "it names a part of a model, and a revision is all of it",
                remedy: "give \(name.at(name.digest).location)"
            )
        }
        let manifest = try await asked.manifest()
        return SourceRevision(
            hub: "ollama",
            endpoint: registry.connection.endpoint.origin,
            kind: "models",
            name: name.repository,
            requested: asked.name.tag,
            resolved: manifest.digest.hex
        )
    }

    package func tree(of revision: SourceRevision) async throws -> SourceTree {
        let asked = try source(at: revision.requested)
        let manifest = try await asked.manifest()
        guard manifest.digest.hex == revision.resolved else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "the tag \(asked.name.tag) was \(revision.resolved), it is \(manifest.digest.hex) now",
                remedy: "run the command again"
            )
        }
        return SourceTree(
            files: asked.files(manifest).map { file in
                SourceTree.File(
                    path: file.path,
                    size: file.size,
                    published: [file.digest],
                    location: asked.name.at(manifest.digest, path: file.path).location,
                    namesOthers: file.path == asked.name.manifestPath
                )
            },
            pages: [manifest.bytes]
        )
    }

    /// A branch or a tag: no request names a manifest by its digest.
    package func name(of revision: SourceRevision) -> String { revision.requested }

    private func source(at requested: String?) throws -> OllamaSource {
        guard let requested, requested != name.tag else { return self }
        guard OllamaName.isName(requested) else {
            throw SluiceError(.usage, object: location, "\(Printable.text(requested)) is no tag")
        }
        return OllamaSource(name.tagged(requested), registry: registry)
    }
}
