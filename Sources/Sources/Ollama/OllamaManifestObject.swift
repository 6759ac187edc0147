import SluiceBytes
import SluicePipeline
import SluiceTransport

/// The manifest as a file: its bytes came with the listing, and are what they were.
struct OllamaManifestObject: SourceObject {
    private let name: OllamaName
    private let registry: OllamaRegistry

    init(_ name: OllamaName, registry: OllamaRegistry) {
        self.name = name
        self.registry = registry
    }

    var location: String { name.location }
    var host: String { registry.connection.endpoint.origin }
    var readsAhead: Bool { false }

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let manifest = try await registry.manifest(name)
        let info = ObjectInfo(
            size: UInt64(manifest.bytes.count),
            pin: pin(manifest),
            published: [manifest.digest],
            supportsRanges: true
        )
        return OpenedObject(info: info)
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        let manifest = try await registry.manifest(name)
        guard info.pin == pin(manifest), range.upper <= UInt64(manifest.bytes.count) else {
            throw SluiceError(
                .sourceChanged,
                object: location,
                "it was \(info.pin), it is \(pin(manifest)) now",
                remedy: "run the command again",
                retry: .restart
            )
        }
        let bytes = Array(manifest.bytes[Int(range.lower)..<Int(range.upper)])
        options.onReceived?(bytes.count)
        return ChunkListStream(Chunk.chunks(of: bytes, from: options.pool))
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws {}

    private func pin(_ manifest: OllamaManifest) -> Pin {
        .etag("\"\(manifest.digest.hex)\"", size: UInt64(manifest.bytes.count))
    }
}
