import SluiceBytes
import SluiceMirror
import SluicePipeline

/// What is at a mirror's place, as names, lengths and versions tell: no byte of a file is read.
///
/// A server is asked for a listing, a request for each thousand objects; elsewhere every file is looked at.
struct PlaceLook: Sendable {
    /// Files of the manifest that are not there as the mirror brought them, by their paths.
    private(set) var lost: [ObjectKey: MirrorLoss] = [:]
    /// What the sink calls those now that are other files than the mirror brought, with the same bytes.
    private(set) var renewed: [ObjectKey: String] = [:]
    /// Keys that the manifest does not name; nil if they were not listed.
    private var others: Set<ObjectKey>?

    /// - Parameters:
    ///   - manifest: what should be there; nil: nothing is known of.
    ///   - all: whether what the manifest does not name is of interest.
    /// - Throws: `.notFound` if there is no such bucket.
    init(
        _ session: any CommandSession,
        _ target: CopyTarget,
        _ manifest: MirrorManifest?,
        all: Bool
    ) async throws {
        if case .s3 = target.location.kind {
            do {
                try await takeListing(session, target, manifest?.files ?? [], all: all)
                return
            } catch let error as SluiceError where error.code == .notAuthorised {
                // Who may read and write objects need not be allowed to list them.
                (lost, others) = ([:], nil)
            }
        }
        let local = try LocalRecords(session, target.location)
        for file in manifest?.files ?? [] {
            let loss = try await PlaceLook.loss(of: file, target, session)
            // What a repair or a copy brought is another file than the manifest knows, and has the right bytes all the same.
            if loss == .replaced, let now = try await local?.version(with: file.sha256, at: file.place) {
                renewed[file.path] = now
            } else {
                lost[file.path] = loss
            }
        }
    }

    private mutating func takeListing(
        _ session: any CommandSession,
        _ target: CopyTarget,
        _ files: [MirrorManifest.File],
        all: Bool
    ) async throws {
        var awaited = Dictionary(files.indices.map { (files[$0].place, $0) }) { first, _ in first }
        var others: Set<ObjectKey> = []
        for try await item in try session.source(target.location).list(recursive: true) {
            // The first page tells that the bucket is there.
            if files.isEmpty, !all { return }
            guard case .entry(let entry) = item, !entry.isPrefix else { continue }
            guard let index = awaited.removeValue(forKey: entry.relativeKey) else {
                if all { others.insert(entry.relativeKey) }
                continue
            }
            if PlaceLook.isVersion(files[index], entry) { continue }
            // Some servers list other tags than they answer with.
            lost[files[index].path] = try await PlaceLook.loss(of: files[index], target, session)
        }
        for index in awaited.values { lost[files[index].path] = .missing }
        self.others = all ? others : nil
    }

    /// Whether a key may have something that the mirror did not bring.
    func mayHold(_ key: ObjectKey, of path: ObjectKey) -> Bool {
        lost[path] == .replaced || others?.contains(key) ?? true
    }

    private static func isVersion(_ file: MirrorManifest.File, _ entry: SourceEntry) -> Bool {
        guard entry.size == file.size else { return false }
        // The version of an object stands behind its tag.
        guard let stored = file.stored, let etag = entry.etag else { return file.stored == nil }
        return stored.prefix { $0 != " " } == etag
    }

    /// Nil if a file is there as its manifest says.
    private static func loss(
        of file: MirrorManifest.File,
        _ target: CopyTarget,
        _ session: any CommandSession
    ) async throws -> MirrorLoss? {
        guard file.objection == nil, let target = try? target.sink.target(file.place) else { return .replaced }
        do {
            guard let there = try await existing(target, session) else { return .missing }
            let isVersion = file.stored == nil || file.stored == there.fingerprint
            return there.size == file.size && isVersion ? nil : .replaced
        } catch let error as SluiceError where error.code == .exists || target.host == "file" {
            // A directory or a link has its name, or is on the way to it.
            return .replaced
        }
    }

    static func existing(_ target: any SinkTarget, _ session: any CommandSession) async throws -> StoredObject? {
        try await session.retrying.run(host: target.host, object: target.location) { try await target.existing() }
    }
}
