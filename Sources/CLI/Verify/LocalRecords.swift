import SluiceBytes
import SluicePipeline

/// What the state file remembers of files that transfers of this machine proved: good while the file's times, inode and
/// length are those of then.
struct LocalRecords: Sendable {
    let session: any CommandSession
    let sink: any Sink

    /// Nil for a place that is no directory of this machine.
    init?(_ session: any CommandSession, _ location: Location) throws {
        guard case .path = location.kind else { return nil }
        self.session = session
        sink = try session.sink(location)
    }

    /// Whether the file is known to hold bytes of that SHA-256.
    func vouch(for digest: Digest, at place: ObjectKey) async throws -> Bool {
        let known = try await session.queue().stored(digest)
        guard !known.isEmpty, let target = try? sink.target(place), let there = try? await target.existing() else {
            return false
        }
        return known.contains { $0.location == there.location && $0.fingerprint == there.fingerprint }
    }
}
