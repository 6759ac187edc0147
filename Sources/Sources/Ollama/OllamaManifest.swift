internal import FoundationEssentials
import SluiceBytes
import SluicePipeline

/// The manifest of a model: which blobs it is made of. Pure, and nothing is believed.
///
/// Its bytes are kept as they came: written anew they would have another digest, which is what names the revision.
///
/// See: https://github.com/opencontainers/image-spec/blob/main/manifest.md
package struct OllamaManifest: Hashable, Sendable {
    /// A blob.
    package struct Layer: Hashable, Sendable {
        package let digest: Digest
        package let size: UInt64

        /// Where the Ollama program has it, below its models.
        package var path: ObjectKey { ObjectKey("blobs/sha256-\(digest.hex)") }
    }

    package let bytes: [UInt8]
    package let digest: Digest
    /// Configuration and layers, each blob once.
    package let layers: [Layer]

    /// Real ones have a few hundred bytes a layer.
    static let limit = 4 << 20
    private static let mostLayers = 10_000

    private struct Form: Decodable {
        struct Layer: Decodable {
            let mediaType: String?
            let digest: String
            let size: Int64
            let urls: [String]?
        }

        let schemaVersion: Int64?
        let manifests: [Nothing]?
        let config: Layer?
        let layers: [Layer]?
    }

    private struct Nothing: Decodable {}

    /// `sha256:` and 64 hexadecimal digits in lower case; nil for anything else.
    package static func digest(_ text: String) -> Digest? {
        let bytes = Array(text.utf8)
        guard bytes.starts(with: "sha256:".utf8),
            let digest = Digest(.sha256, hex: String(decoding: bytes.dropFirst(7), as: UTF8.self)),
            "\(digest)" == text
        else { return nil }
        return digest
    }

    /// - Throws: `.badAnswer` for what is no manifest, `.unsupported` for one that is not a model's.
    package init(_ bytes: [UInt8], _ object: String) throws(SluiceError) {
        let form: Form
        do {
            form = try JSONDecoder().decode(Form.self, from: Data(bytes))
        } catch {
            throw HubAnswer.bad(object, "the manifest is not the JSON of one", cause: "\(error)")
        }
        if form.manifests != nil {
            throw SluiceError(.unsupported, object: object, "it is a list of images, no model of Ollama")
        }
        guard form.schemaVersion == 2, let config = form.config, let layers = form.layers else {
            throw HubAnswer.bad(object, "the manifest has no version 2, no config or no layers")
        }
        guard layers.count <= Self.mostLayers else {
            throw HubAnswer.bad(object, "the manifest has \(layers.count) layers, more than \(Self.mostLayers)")
        }
        self.bytes = bytes
        digest = bytes.withUnsafeBytes { SHA256.hash($0) }
        self.layers = try Self.blobs([config] + layers, object)
    }

    private static func blobs(_ listed: [Form.Layer], _ object: String) throws(SluiceError) -> [Layer] {
        var blobs: [Layer] = []
        var sizes: [Digest: UInt64] = [:]
        var total: UInt64 = 0
        for layer in listed {
            let shown = Printable.text(String(layer.digest.prefix(80)))
            guard let digest = digest(layer.digest) else {
                throw HubAnswer.bad(object, "the manifest has the digest \(shown), which is no SHA-256")
            }
            guard let size = UInt64(exactly: layer.size), size <= HubAnswer.largestFile else {
                throw HubAnswer.bad(object, "the manifest has \(layer.size) bytes for \(shown), which no blob can have")
            }
            guard (layer.urls ?? []).isEmpty, layer.mediaType?.contains("foreign") != true else {
                throw SluiceError(
                    .unsupported,
                    object: object,
                    "its layer \(shown) is foreign: it is not the registry's own, and is not fetched from elsewhere"
                )
            }
            if let known = sizes[digest] {
                guard known == size else {
                    throw HubAnswer.bad(object, "the manifest has \(known) and \(size) bytes for \(shown)")
                }
                continue
            }
            sizes[digest] = size
            total += size
            blobs.append(Layer(digest: digest, size: size))
        }
        guard total <= HubAnswer.largestTotal else {
            throw HubAnswer.bad(object, "the manifest has \(total) bytes, more than can be")
        }
        return blobs
    }
}
