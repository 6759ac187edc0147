import SluiceBytes
import SluiceMirror
import SluicePipeline

/// One of two places that are compared: which files it has, and what is known of each without a look at it.
struct VerifySide: Sendable {
    struct Entry: Sendable {
        /// Below the location.
        let place: ObjectKey
        var known: KnownContent
        /// Opens the file; nil: its place below the location does.
        var location: String?
        /// Whether to ask for it may tell more.
        var mayTellMore = true
    }

    let location: Location
    let source: any Source
    let local: LocalRecords?
    /// By the paths under which they are compared.
    private(set) var files: [ObjectKey: Entry] = [:]
    /// What could not be listed: unknown, not missing.
    private(set) var unlisted: [SluiceError] = []
    /// Whether it is one object, which is compared with another whatever the two are called.
    private(set) var isSingle = false

    init(_ session: any CommandSession, _ location: Location, rev: String?) async throws {
        let plain = try session.source(location)
        self.location = location
        if let hub = plain as? any RevisionedSource {
            source = plain
            local = nil
            try await take(hub, rev)
            return
        }
        let host = try plain.object(ObjectKey("")).host
        if try await session.retrying.run(host: host, object: "\(location)", { try await plain.isSingleObject() }) {
            source = plain
            local = try LocalRecords(session, location)
            isSingle = true
            files = [ObjectKey(""): Entry(place: ObjectKey(""), known: KnownContent(size: nil))]
            return
        }
        let container = try location.below("")
        source = try session.source(container)
        local = try LocalRecords(session, container)
        try await list(session, container, rev)
    }

    func object(_ entry: Entry, _ session: any CommandSession) throws -> any SourceObject {
        guard let location = entry.location else { return try source.object(entry.place) }
        return try session.source(try Resolver.location(location)).object(ObjectKey(""))
    }

    // MARK: - What is there

    private mutating func take(_ hub: any RevisionedSource, _ rev: String?) async throws {
        let tree = try await hub.tree(of: try await hub.revision(named: rev))
        for file in tree.files {
            files[file.path] = Entry(
                place: file.path,
                known: KnownContent(size: file.size, digests: file.published),
                location: file.location,
                mayTellMore: false
            )
        }
        unlisted = tree.refused.map { $0.value.about("\($0.key)") }
    }

    private mutating func list(_ session: any CommandSession, _ container: Location, _ rev: String?) async throws {
        var records: [ObjectKey] = []
        var listed: [ObjectKey: SourceEntry] = [:]
        for try await item in source.list(recursive: true) {
            switch item {
            case .entry(let entry):
                if entry.isPrefix || entry.isMarker || entry.isTemporary { continue }
                if entry.relativeKey.hasPrefix(MirrorKeys.records) { records.append(entry.relativeKey) }
                listed[entry.relativeKey] = entry
            case .skipped(let error): unlisted.append(error)
            }
        }
        var named: Set<ObjectKey> = Set(records)
        if records.contains(where: { $0.hasPrefix(MirrorKeys.refs) }) {
            let mirror = try await FoundMirror(session, container, rev: rev, keys: records)
            for file in mirror.manifest.files {
                named.insert(file.place)
                guard let entry = listed[file.place] else { continue }
                let isOfThen = await isAsIn(file, entry)
                files[file.path] = Entry(
                    place: file.place,
                    known: isOfThen ? file.content : KnownContent(size: entry.size),
                    mayTellMore: !isOfThen
                )
            }
            // A cache has links and files of its own beside the blobs.
            if mirror.manifest.layout != .plain { return }
        }
        for (key, entry) in listed where !named.contains(key) {
            files[key] = Entry(place: key, known: KnownContent(size: entry.size))
        }
    }

    /// Whether the manifest speaks of what is listed now: the server's name of the version is the same, or inode, length
    /// and times of the file, of which nobody can put back that of the change. It says nothing of what a disk did to the
    /// bytes; that is for a full look.
    private func isAsIn(_ file: MirrorManifest.File, _ entry: SourceEntry) async -> Bool {
        guard entry.size == nil || entry.size == file.size else { return false }
        if let etag = entry.etag { return file.stored?.prefix { $0 != " " } == etag[...] }
        guard let local else { return false }
        return await local.fingerprint(of: file.place) == file.stored
    }

    /// What the state file has of the side's files; asked once, since it takes a pass over all of it.
    mutating func recall() async throws {
        guard let local else { return }
        let known = try await local.all()
        if known.isEmpty { return }
        for (path, entry) in files where entry.known.proof.isEmpty {
            guard let target = try? local.sink.target(entry.place), let then = known[target.location],
                await local.fingerprint(of: entry.place) == then.fingerprint
            else { continue }
            files[path]?.known.digests.append(then.digest)
        }
    }

    /// Forgets what only records say of files of this machine: they are read.
    mutating func forgetRecords() {
        guard local != nil else { return }
        for path in files.keys { files[path]?.known.digests = [] }
    }
}
