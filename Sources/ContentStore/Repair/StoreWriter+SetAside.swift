import SluiceBytes
import SluicePipeline

extension StoreWriter {
    /// Reads these blobs as a scrub does, past any cache, and sets those aside that are proven to be rotten.
    ///
    /// - Returns: those that are in the quarantine now; the store is without them, so that they may be brought again.
    package func setAsideRotten(_ digests: some Sequence<Digest>) async throws -> Set<Digest> {
        let pulse = ScrubPulse(store.time, self, allShards: 0) { _ in }
        let reader = BlobReader(store.files, store.time, rate: nil, isCached: false) { try pulse.read($0) }
        var rotten: Set<Digest> = []
        for digest in digests {
            guard let entry = try store.locate(digest)?.entry else { continue }
            let look = try await reader.begin(entry, digest)
            while look.end == nil { try await reader.advance([look]) }
            guard case .corrupt(let file, let status, let found) = try await reader.verdict(look) else { continue }
            let name = store.quarantineName(for: digest)
            if try store.isolate(entry, file, status, as: name, expected: digest, found: found) {
                rotten.insert(digest)
            }
        }
        return rotten
    }
}
