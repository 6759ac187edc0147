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
                let missing = try session.share(repair.root).store.missingBlobs()
                for blob in missing { try repair.tell(blob, nil) }
                return missing.isEmpty ? .done : .integrity
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

    /// Returns what is still missing after a look at what is near.
    func heal(_ session: any CommandSession) throws -> [MissingBlob] {
        let share = try session.share(root)
        let writer = try share.writer()
        var missing = try share.store.missingBlobs()
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

    /// Fetches blobs from where their manifests say they came from, as transfers like any other.
    func fetch(
        _ missing: [MissingBlob],
        left: [MissingBlob],
        _ session: any CommandSession,
        _ display: TransferDisplay
    ) async throws -> RunReport {
        var requests: [TransferRequest] = []
        var report = RunReport()
        let encoded = try TransferSettings(settings).encoded()
        for blob in left {
            if missing.contains(blob), let request = try request(blob, session, encoded) {
                requests.append(request)
            } else {
                try tell(blob, nil)
                report.failures[.notFound, default: 0] += 1
            }
        }
        guard !requests.isEmpty else { return report }
        let queue = try await session.queue()
        let job = try await queue.beginJob("cas repair \(root)", priority: 0)
        display.plan(requests)
        try await queue.add(requests, to: job)
        try await queue.endJob(job)
        display.completePlan()
        report.merge(try await session.run(job: job, watch: false))
        return report
    }

    /// Nil if no place is recorded.
    private func request(
        _ blob: MissingBlob,
        _ session: any CommandSession,
        _ settings: String
    ) throws -> TransferRequest? {
        for use in blob.uses {
            guard let path = use.paths.first else { continue }
            for source in use.sources {
                guard let location = try? CopyOptions.location(source), location.kind != .stream,
                    let object = try? session.source(location).object(ObjectKey(bytes: []))
                else { continue }
                let place = root.appending(Array(use.manifest.description.utf8)).appending(path.bytes)
                return TransferRequest(
                    source: source,
                    target: "cas:\(place)",
                    settings: settings,
                    overwrite: .overwrite,
                    expectedSHA256: blob.digest.hex,
                    host: object.host,
                    size: blob.size.bytes
                )
            }
        }
        return nil
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
