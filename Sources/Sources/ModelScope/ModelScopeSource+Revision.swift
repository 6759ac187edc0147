import SluiceBytes
import SluicePipeline
import SluiceTransport
import Synchronization

extension ModelScopeSource: RevisionedSource {
    /// Lists the revision: its name is the digest of what is listed.
    package func revision(named requested: String?) async throws -> SourceRevision {
        let asked = at(requested)
        let found = try await asked.everything()
        asked.remember(found.entries.values)
        let told = try await hub.connection.retry(location) { try await hub.about(asked.place) }
        listed.withLock { $0 = found }
        return SourceRevision(
            hub: "modelscope",
            endpoint: hub.connection.endpoint.origin,
            kind: place.kind.rawValue,
            name: told.name ?? place.repository,
            identity: told.identity,
            requested: asked.place.revision ?? ModelScopePlace.mainRevision,
            resolved: found.digest.hex,
            about: told.about
        )
    }

    package func tree(of revision: SourceRevision) async throws -> SourceTree {
        let asked = at(revision.requested)
        var found = listed.withLock { $0 }
        if found?.digest.hex != revision.resolved { found = try await asked.everything() }
        guard let found, found.digest.hex == revision.resolved else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "the listing was \(revision.resolved), it is \(found?.digest.hex ?? "none") now",
                remedy: "run the command again"
            )
        }
        let listing = HubListing(place: place.path) { asked.place.at($0).location }
        var refused: [ObjectKey: SluiceError] = [:]
        for case .refused(let path, let error) in found.entries.values { refused[path] = error }
        return SourceTree(
            files: try found.files.map { file in
                SourceTree.File(
                    path: try listing.relative(file.path),
                    size: file.size,
                    published: [file.sha256],
                    location: asked.place.at(file).location
                )
            },
            refused: refused,
            pages: found.pages
        )
    }

    /// A branch or a tag: no request names a listing by its digest.
    package func name(of revision: SourceRevision) -> String { revision.requested }

    private func at(_ requested: String?) -> ModelScopeSource {
        guard let requested, requested != place.revision else { return self }
        return ModelScopeSource(
            ModelScopePlace(place.kind, place.repository, revision: requested, path: place.path),
            hub: hub
        )
    }
}

extension ModelScopeWalk.Found {
    /// SHA-256 of a line for each entry in the order of the paths' bytes: the path, a zero byte, what is there. It names
    /// the revision, since the hub does not.
    var digest: Digest {
        var hash = SHA256()
        for (path, entry) in entries.sorted(by: { $0.key < $1.key }) {
            let what: String
            switch entry {
            case .file(let file): what = "\(file.size) \(file.sha256.hex)"
            case .refused: what = "refused"
            case .directory: continue
            }
            let line = path.bytes + [0] + Array("\(what)\n".utf8)
            line.withUnsafeBytes { hash.update($0) }
        }
        return hash.finalized()
    }
}
