import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Brings back what is missing.
struct CASRepair: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "repair",
        abstract: "Bring back missing blobs: from the store itself, a directory, or where they came from.",
        discussion: """
            Looks in the trash and the quarantine, in --from directories, and then fetches from the places that the \
            manifests have recorded. Every byte is hashed before it gets its name. Run cas scrub first: it finds what \
            is damaged and sets it aside.

            EXAMPLES
              sluice cas repair -n /mnt/nas/models
              sluice cas repair --from /backup/models /mnt/nas/models
            """
    )

    @Option(name: .customLong("from"), help: .init("Also look for good copies below it.", valueName: "directory"))
    var directories: [String] = []
    @Flag(name: .customLong("no-fetch"), help: "Fetch nothing.")
    var noFetch = false
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what is missing; change nothing.")
    var dryRun = false
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        let run = CommandRun(settings: settings, presentation: Presentation(global))
        let repair = Repair(
            root: try store.path(),
            directories: try directories.map { try StoreArgument.path($0) },
            settings: settings,
            presentation: run.presentation
        )
        if dryRun {
            try await run.inStore { session in
                let missing = try repair.needed(session.share(repair.root).store)
                for blob in missing { try repair.tell(blob, nil) }
                let lost = try repair.tellLost(session.share(repair.root).store)
                if missing.isEmpty, !lost { run.presentation.say("nothing is missing") }
                return missing.isEmpty && !lost ? .done : .integrity
            }
        } else {
            let fetches = !noFetch
            try await run.transfer { session, display in
                let missing = try await withTaskExecutorPreference(BlockingExecutor.shared) {
                    try repair.heal(session)
                }
                return try await repair.fetch(fetches ? missing : [], left: missing, session, display)
            }
        }
    }
}

/// Heals a store step by step, the nearest sources first.
private struct Repair: Sendable {
    let root: LocalPath
    let directories: [LocalPath]
    let settings: SessionSettings
    let presentation: Presentation

    /// What is missing of trees as they are: a file that was replaced, and whose manifest was not merged yet, is not.
    func needed(_ store: ContentStore) throws(SluiceError) -> [MissingBlob] {
        var needed: [MissingBlob] = []
        for blob in try store.missingBlobs() {
            for use in blob.uses {
                guard let tree = try store.tree(use.manifest),
                    use.paths.contains(where: { tree.file($0)?.digest == blob.digest })
                else { continue }
                needed.append(blob)
                break
            }
        }
        return needed
    }

    /// Returns what is still missing after a look at what is near.
    func heal(_ session: any CommandSession) throws -> [MissingBlob] {
        let share = try session.share(root)
        let writer = try share.writer()
        var missing = try needed(share.store)
        let sources = [HealSource.store] + directories.map { HealSource.directory($0) }
        for source in sources where !missing.isEmpty {
            let healed = try writer.heal(missing, from: source, pool: BufferPool(retained: 2))
            for blob in missing where healed.contains(blob.digest) {
                switch source {
                case .store: try tell(blob, "found in the store")
                case .directory(let path): try tell(blob, "found below \(path)")
                }
            }
            missing.removeAll { healed.contains($0.digest) }
        }
        return missing
    }

    /// Fetches blobs from where their manifests say they came from, as transfers like any other: from the first place of
    /// each, then from the second of those that are still missing, and so on.
    func fetch(
        _ missing: [MissingBlob],
        left: [MissingBlob],
        _ session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> RunReport {
        var report = RunReport()
        var left = left
        let store = try session.share(root).store
        let transfers = CommandTransfers(session: session, display: display, title: "cas repair \(root)", priority: 0)
        let most = missing.map { places(of: $0).count }.max() ?? 0
        for index in 0..<most where !report.interrupted {
            let wanted = try left.compactMap { try request($0, index, session, store) }
            guard !wanted.isEmpty else { continue }
            report.merge(try await transfers.run(wanted).0)
            left = try left.filter { try store.open($0.digest)?.size != $0.size }
        }
        display.completePlan()
        // What failed at one place and was found at another is no failure; what has no room here may be found anywhere.
        let code: SluiceError.Code = report.failures[.noSpace] == nil ? .notFound : .noSpace
        report.failures = [:]
        for blob in left {
            try tell(blob, nil)
            report.failures[code, default: 0] += 1
        }
        if try tellLost(store) { report.failures[.digestMismatch, default: 0] += 1 }
        return report
    }

    /// Trees of which a manifest was set aside: what they need is not known to be there.
    func tellLost(_ store: ContentStore) throws(SluiceError) -> Bool {
        let lost = try store.lostManifests()
        for manifest in lost { presentation.report(manifest.error(in: root)) }
        return !lost.isEmpty
    }

    private typealias Place = (use: ManifestUse, path: ObjectKey, source: String)

    private func places(of blob: MissingBlob) -> [Place] {
        blob.uses.flatMap { use in use.paths.prefix(1).flatMap { path in use.sources.map { (use, path, $0) } } }
    }

    /// Nil if there is no such place, or nothing can be read from it.
    private func request(
        _ blob: MissingBlob,
        _ index: Int,
        _ session: any CommandSession,
        _ store: ContentStore
    ) throws -> TransferRequest? {
        let places = places(of: blob)
        guard places.indices.contains(index), let location = try? CopyOptions.location(places[index].source),
            location.kind != .stream, let object = try? session.source(location).object(ObjectKey(bytes: []))
        else { return nil }
        let (use, path, source) = places[index]
        // Brought under the path of a tree whose file it still is.
        guard try store.tree(use.manifest)?.file(path)?.digest == blob.digest else { return nil }
        let place = root.appending(Array(use.manifest.description.utf8)).appending(path.bytes)
        return TransferRequest(
            source: source,
            target: "cas:\(place)",
            settings: try TransferSettings(settings).encoded(),
            overwrite: .refuse,
            expectedSHA256: blob.digest.hex,
            host: object.host,
            size: blob.size.bytes
        )
    }

    func tell(_ blob: MissingBlob, _ healed: String?) throws {
        var object = JSONObject()
        object.add("event", healed == nil ? "missing" : "healed")
        object.add("sha256", blob.digest.hex)
        object.add("size", blob.size.bytes)
        let files = blob.uses.flatMap { use in use.paths.map { "\(use.manifest) \($0)" } }
        object.add("files", files.joined(separator: ", "))
        object.add("how", healed)
        let sources = blob.uses.flatMap(\.sources)
        let rest = healed ?? (sources.isEmpty ? "no place to fetch it from is recorded" : "from \(sources[0])")
        let word = healed == nil ? "missing" : "healed "
        try presentation.line("\(word) \(blob.digest.hex)  \(files.joined(separator: ", ")): \(rest)", object)
    }
}
