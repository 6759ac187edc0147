import SluiceBytes
import SluiceContentStore
import SluiceMirror
import SluicePipeline

/// A mirror that was found at a place, and the manifest that is meant.
struct FoundMirror: Sendable {
    let location: Location
    let source: any Source
    let target: CopyTarget
    let chosen: MirrorRef.Chosen
    let manifest: MirrorManifest
    /// All there are.
    let refs: [MirrorRef]
    /// Of a cache of huggingface_hub: its links.
    let snapshot: HuggingFaceSnapshot?

    /// Reads the refs, and the manifest of the chosen one, which is compared with its name.
    ///
    /// - Parameters:
    ///   - keys: of the place's listing, if it was listed; nil: the refs are.
    ///   - settings: `TransferSettings` for what is written there, encoded.
    init(
        _ session: any CommandSession,
        _ location: Location,
        rev: String?,
        keys: [ObjectKey]? = nil,
        settings: String = "{}"
    ) async throws {
        let location = try location.below("")
        try FoundMirror.refuseWholeStore(location, session)
        self.location = location
        source = try session.source(location)
        var rules = CopyRules()
        rules.recursive = true
        rules.settings = settings
        target = try await CopyTarget(session, rules, location, many: false)
        let reader = RecordReader(session: session, target: target)
        var refs: [MirrorRef] = []
        let found: [ObjectKey]
        if let keys {
            found = keys.filter { $0.hasPrefix(MirrorKeys.refs) }
        } else {
            found = try await FoundMirror.refs(below: location, session)
        }
        for key in found where key.bytes.suffix(5).elementsEqual(".json".utf8) {
            guard let record = try await reader.read(key, limit: MirrorRef.limit) else { continue }
            let ref = try MirrorRef(record.bytes, record.location)
            guard MirrorKeys.ref(ref.name) == key else {
                throw SluiceError(
                    .badAnswer,
                    object: record.location,
                    "the record says that it is the ref \(Printable.text(ref.name)), whose file has another name",
                    remedy: "remove it: it was copied or renamed"
                )
            }
            refs.append(ref)
        }
        chosen = try MirrorRef.chosen(rev, of: refs, at: "\(location)")
        let manifest = try await reader.manifest(chosen.entry.manifest)
        (self.manifest, self.refs) = (manifest, refs)
        guard manifest.source.resolved == chosen.entry.revision else {
            throw SluiceError(
                .badAnswer,
                object: "\(location)",
                "the ref \(Printable.text(chosen.ref)) says that its manifest is of revision "
                    + "\(Printable.text(chosen.entry.revision)), and it is of \(Printable.text(manifest.source.resolved))",
                remedy: "remove the mirror's refs (\(MirrorKeys.refs)) and mirror again: what is there is compared"
            )
        }
        guard manifest.layout == .huggingFaceCache, let path = location.localPath else {
            snapshot = nil
            return
        }
        try HuggingFaceSnapshot.refuseLink(path)
        snapshot = HuggingFaceSnapshot(repository: path, commit: manifest.source.resolved)
    }

    /// What names the revision in a cache of huggingface_hub, as far as the ref still stands for it.
    var branch: String? {
        let isCurrent = refs.contains { $0.name == chosen.ref && $0.current == chosen.entry }
        return isCurrent && chosen.ref != manifest.source.resolved ? chosen.ref : nil
    }

    /// What is wrong with the listing of the hub that is kept; nil if it is there as it came.
    func listingFault(_ session: any CommandSession) async -> VerifyResult? {
        let wanted = manifest.listing
        let key = MirrorKeys.listing(wanted)
        do {
            let reader = RecordReader(session: session, target: target)
            guard let record = try await reader.read(key, limit: MirrorListing.limit) else {
                return VerifyResult(key, .missing, error: SluiceError(.notFound, "the hub's answers are not there"))
            }
            let found = record.bytes.withUnsafeBytes { SHA256.hash($0) }
            if found == wanted { return nil }
            return VerifyResult(key, .differs, expected: "\(wanted)", found: "\(found)")
        } catch {
            return VerifyResult(key, .error, error: SluiceError.wrapping(error))
        }
    }

    static func refs(below location: Location, _ session: any CommandSession) async throws -> [ObjectKey] {
        var keys: [ObjectKey] = []
        let records = try session.source(try location.below(MirrorKeys.refs.text))
        do {
            for try await item in records.list(recursive: true) {
                switch item {
                case .entry(let entry):
                    if !entry.isPrefix { keys.append(MirrorKeys.refs.appending(entry.relativeKey)) }
                case .skipped(let error): throw error
                }
            }
        } catch let error as SluiceError where error.code == .notFound {
            return []
        }
        return keys
    }

    static func refuseWholeStore(_ location: Location, _ session: any CommandSession) throws {
        guard case .cas = location.kind, let path = location.localPath, try session.place(path).tree == nil else {
            return
        }
        throw SluiceError(
            .usage,
            object: "\(location)",
            "is a whole store, and a mirror is a tree of one",
            remedy: "name the tree: sluice cas ls \(path) lists them; sluice cas verify reads the whole store"
        )
    }

    /// What is at the mirror's place and no record of its own.
    func listed(_ take: (SourceEntry) throws -> Void, skipped: (SluiceError) throws -> Void) async throws {
        for try await item in source.list(recursive: true) {
            switch item {
            case .entry(let entry):
                if !entry.isPrefix, !entry.relativeKey.hasPrefix(MirrorKeys.records), !entry.isMarker {
                    try take(entry)
                }
            case .skipped(let error): try skipped(error)
            }
        }
    }
}

extension SourceEntry {
    /// An object of no bytes that consoles make in a folder's place.
    var isMarker: Bool { relativeKey.bytes.last == UInt8(ascii: "/") && size == 0 }

    /// What a transfer that was killed, or is under way, has on a disk: nothing of the user's. `cleanup` takes it away.
    var isTemporary: Bool { location.hasPrefix("/") && TemporaryName.isOne(baseName.bytes) }
}
