import SluiceBytes
import SluicePipeline

extension CivitAISource: RevisionedSource {
    /// The version's number and the state of its files: a number alone may stand for other files tomorrow.
    package func revision(named requested: String?) async throws -> SourceRevision {
        guard place.choice == .path(ObjectKey("")) else {
            let version = CivitAIPlace(model: place.model, version: place.version)
            throw SluiceError(
                .usage,
                object: location,
                "it names files of a version, and a revision is all of it",
                remedy: "give \(version.location), with --include for a part of it"
            )
        }
        let asked = try place(at: requested)
        let version = try await retrying { try await self.hub.version(asked, isNew: true).version }
        return SourceRevision(
            hub: "civitai",
            endpoint: hub.endpoint.origin,
            kind: "models",
            name: "\(version.model)",
            identity: "\(version.model)@\(version.id)",
            requested: requested ?? asked.version.map { "\($0)" } ?? "latest",
            resolved: "\(version.id).\(version.state)",
            about: version.told.mapValues { String(Printable.text($0).prefix(200)) }
        )
    }

    /// The number: the hub knows no states.
    package func name(of revision: SourceRevision) -> String { String(revision.resolved.prefix { $0 != "." }) }

    private func place(at requested: String?) throws -> CivitAIPlace {
        guard let requested else { return place }
        if requested == "latest", let model = place.model {
            return CivitAIPlace(model: model, version: nil)
        }
        guard let number = CivitAINumber.parse(requested.utf8) else {
            throw SluiceError(
                .usage,
                object: location,
                "a version is known by its number, or as the latest of a model, and \(Printable.text(requested)) is neither",
                remedy: "see \(hub.page(place)) and its address: modelVersionId="
            )
        }
        return CivitAIPlace(model: place.model, version: number)
    }

    /// The files with their exact sizes, for which each one's storage is asked: the API only tells about how large.
    package func tree(of revision: SourceRevision) async throws -> SourceTree {
        let pinned = try CivitAIPlace(ObjectKey("models/\(revision.name)@\(revision.resolved)"))
        let answer = try await retrying { try await self.hub.version(pinned) }
        var files: [SourceTree.File] = []
        for (path, file) in answer.version.tree {
            let at = pinned.at(answer.version, .file(file.id, name: path.lastComponent))
            files.append(
                SourceTree.File(
                    path: path,
                    size: try await size(hub.object(at)),
                    published: file.published,
                    location: at.location
                )
            )
        }
        return SourceTree(files: files, pages: [answer.page])
    }

    private func size(_ object: HubObject) async throws -> UInt64 {
        let opened = try await retrying { try await object.open(prefetch: 0, options: ReadOptions(pool: BufferPool())) }
        opened.stream?.cancel()
        guard let size = opened.info.size else {
            throw hub.endpoint.bad(object.location, "the storage does not tell how large the file is")
        }
        return size
    }
}
