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

    /// Whether a transfer of this machine once put bytes of that SHA-256 there.
    func brought(_ digest: Digest, to place: ObjectKey) async throws -> Bool {
        guard let target = try? sink.target(place) else { return false }
        return try await session.queue().stored(digest).contains { $0.location == target.location }
    }

    /// Whether the file is known to hold bytes of that SHA-256.
    func vouch(for digest: Digest, at place: ObjectKey) async throws -> Bool {
        try await version(with: digest, at: place) != nil
    }

    /// What the sink calls the file if it is known to hold bytes of that SHA-256.
    func version(with digest: Digest, at place: ObjectKey) async throws -> String? {
        let known = try await session.queue().stored(digest)
        guard !known.isEmpty, let target = try? sink.target(place), let there = try? await target.existing() else {
            return nil
        }
        let isKnown = known.contains { $0.location == there.location && $0.fingerprint == there.fingerprint }
        return isKnown ? there.fingerprint : nil
    }

    /// What transfers of this machine proved of files below the place, by location: good for a file that has that
    /// fingerprint still.
    func all() async throws -> [String: (digest: Digest, fingerprint: String)] {
        var location = sink.location
        if location.count > 1, location.hasSuffix("/") { location.removeLast() }
        var known: [String: (digest: Digest, fingerprint: String)] = [:]
        for stored in try await session.queue().stored(below: location) where known[stored.location] == nil {
            if let digest = stored.recordedSHA256 { known[stored.location] = (digest, stored.fingerprint) }
        }
        return known
    }

    /// What the sink calls the file as it is now: inode, length and times; nil if there is none.
    func fingerprint(of place: ObjectKey) async -> String? {
        guard let target = try? sink.target(place) else { return nil }
        return try? await target.existing()?.fingerprint
    }
}
