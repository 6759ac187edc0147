import SluiceBytes
import SluicePipeline

/// A store of Ollama: every tag becomes a revision, known by the SHA-256 of its manifest as Ollama has it.
///
/// Its files keep their places (`manifests/HOST/NAMESPACE/MODEL/TAG`, `blobs/sha256-…`), so a checkout of one or more
/// revisions into a directory is a store that Ollama can use.
///
/// See: https://github.com/opencontainers/image-spec/blob/main/manifest.md
package struct OllamaImport: RevisionImport {
    /// Real ones have a few hundred bytes a layer.
    private static let manifestLimit = ByteCount.mebibytes(4)
    private static let mostLayers = 10_000
    private static let manifests = Array("manifests".utf8)

    private struct Layer: Decodable {
        let digest: String
        let size: UInt64
    }

    private struct Form: Decodable {
        let config: Layer
        let layers: [Layer]
    }

    private let models: LocalPath

    /// - Parameter models: the directory with `manifests` and `blobs` in it: `OLLAMA_MODELS`, `~/.ollama/models`.
    package init(_ models: LocalPath) {
        self.models = models
    }

    package func run(
        _ importer: BlobImporter,
        report: @escaping (ImportedFile) throws(SluiceError) -> Void,
        body: @escaping (ImportedRevision) throws(SluiceError) -> Void
    ) throws(SluiceError) -> ImportSummary {
        var run = ImportRun(importer: importer, root: try importer.root(models), report: report, body: body)
        for entry in try run.root.files(below: OllamaImport.manifests) {
            try importer.checkStopped()
            let parts = entry.place.split(separator: UInt8(ascii: "/")).map { ObjectKey(bytes: $0).losslessText }
            // Four names below `manifests`; what is not a tag there is not Ollama's.
            guard parts.count == 5, let host = parts[1], let space = parts[2], let model = parts[3], let tag = parts[4]
            else { continue }
            let candidates: [ImportCandidate]
            do throws(SluiceError) {
                candidates = try self.candidates(entry.place, run.root)
            } catch {
                try run.refuse(entry.place, error)
                continue
            }
            let name = host == "registry.ollama.ai" ? "\(space)/\(model)" : "\(host)/\(space)/\(model)"
            try run.bring(candidates) { (files) throws(SluiceError) in
                guard let manifest = files.first(where: { $0.path.bytes == entry.place }) else {
                    throw SluiceError(.internalFault, object: name, "the manifest is none of its own files")
                }
                return ImportedRevision(
                    kind: "ollama",
                    name: name,
                    revision: manifest.digest.hex,
                    branches: [tag],
                    files: files
                )
            }
        }
        return run.summary
    }

    /// The manifest itself, its configuration and its layers.
    private func candidates(_ place: [UInt8], _ root: ImportRoot) throws(SluiceError) -> [ImportCandidate] {
        let bytes = try root.read(place, limit: OllamaImport.manifestLimit)
        let form: Form
        do throws(SluiceError) {
            form = try StoreRecord.decode(Form.self, bytes, root.location(place))
        } catch {
            throw damaged(place, root, "it is not the JSON of an image manifest", cause: error.cause)
        }
        guard form.layers.count <= OllamaImport.mostLayers else {
            throw damaged(place, root, "it has \(form.layers.count) layers, more than \(OllamaImport.mostLayers)")
        }
        // What is read here must be what is stored: its digest is claimed like any other's.
        let own = bytes.withUnsafeBytes { SHA256.hash($0) }
        var candidates = [ImportCandidate(path: ObjectKey(bytes: place), place: place, claim: .sha256(own))]
        var seen: Set<String> = []
        for layer in [form.config] + form.layers where seen.insert(layer.digest).inserted {
            candidates.append(try candidate(layer, place, root))
        }
        return candidates
    }

    private func candidate(_ layer: Layer, _ place: [UInt8], _ root: ImportRoot) throws(SluiceError) -> ImportCandidate
    {
        let prefix = "sha256:"
        guard layer.digest.hasPrefix(prefix), let key = BlobKey(hex: String(layer.digest.dropFirst(prefix.count)))
        else {
            let found = Printable.text(String(layer.digest.prefix(100)))
            throw damaged(place, root, "a layer's digest is \(found), no SHA-256")
        }
        let blob = Array("blobs/sha256-\(key.hex)".utf8)
        return ImportCandidate(
            path: ObjectKey(bytes: blob),
            place: blob,
            claim: .sha256(key.digest),
            size: ByteCount(layer.size)
        )
    }

    private func damaged(_ place: [UInt8], _ root: ImportRoot, _ what: String, cause: String? = nil) -> SluiceError {
        SluiceError(
            .badAnswer,
            object: root.location(place),
            "the manifest cannot be trusted: \(what)",
            remedy: "pull the model again with Ollama, or remove it there",
            cause: cause
        )
    }
}
