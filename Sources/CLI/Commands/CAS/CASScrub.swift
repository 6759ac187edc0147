import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline
import Synchronization

/// Reads everything, and sets aside what is damaged.
struct CASScrub: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrub",
        abstract: "Read every blob and manifest, and set aside what is not what it should be.",
        discussion: """
            Goes on where an interrupted run stood; several hosts share a pass. Damaged files go into the store's \
            quarantine, never away; cas repair fetches them again. The status is 4 if anything is damaged or missing.

            EXAMPLES
              sluice cas scrub /mnt/nas/models
              sluice cas scrub --max-duration 4h --rate 200M /mnt/nas/models
            """
    )

    @OptionGroup var pace: ScrubPace
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let (path, options, showing) = (try store.path(), pace.options, ScrubShowing(run.presentation))
        try await run.inStore { session in
            let writer = try session.share(path).writer()
            var status: ExitStatus?
            // Told before the pass counts as ended: a process that dies here leaves the report to the next run.
            let report = try await Scrubber(writer, options, progress: showing.progress).run { report in
                status = try showing.tell(report, of: writer.store)
            }
            return try status ?? showing.tell(report, of: writer.store)
        }
    }
}

/// Looks, and changes nothing.
struct CASVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read every blob and manifest, or those of one tree, and change nothing.",
        discussion: """
            The look of a scrub, for stores that may only be read. The status is 4 if anything is damaged or missing.

            EXAMPLES
              sluice cas verify /mnt/nas/models
              sluice cas verify cas:/mnt/nas/models/llama@v2
            """
    )

    @OptionGroup var pace: ScrubPace
    @Argument(help: .init("A store, or a tree: cas:/STORE/NAME[@REVISION].", valueName: "what"))
    var what: String
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let (what, options, showing) = (what, pace.options, ScrubShowing(run.presentation))
        try await run.inStore { session in
            let place = try session.place(StoreArgument.path(what))
            let store = place.share.store
            let manifest = try place.tree.map { try CASVerify.whole($0.revisionToRead(in: store), store) }
            let report = try await store.verify(options, only: manifest, progress: showing.progress)
            return try showing.tell(report, of: store, only: manifest?.name, goesOn: false)
        }
    }
}

extension CASVerify {
    /// A tree as one manifest.
    fileprivate static func whole(_ name: RevisionName, _ store: ContentStore) throws(SluiceError) -> Manifest {
        guard let tree = try store.wholeTree(name) else {
            throw SluiceError(
                .notFound,
                object: "\(name)",
                "the store has no such tree",
                remedy: "list what is there: sluice cas ls \(store.path)"
            )
        }
        return try Manifest(name, tree.files)
    }
}

/// How fast, and how long.
struct ScrubPace: ParsableArguments {
    @Option(help: .init("Bytes a second at most.", valueName: "bytes"))
    var rate: ByteCount?
    @Option(name: .customLong("max-duration"), help: .init("Stop after it (s, m, h, d).", valueName: "time"))
    var maxDuration: DurationArgument?
    @Flag(help: .hidden)
    var cached = false

    var options: ScrubOptions {
        var options = ScrubOptions()
        options.rate = rate
        options.maxDuration = maxDuration?.duration
        options.isCached = cached
        return options
    }
}

/// Tells how a scrub goes, and what it found.
private final class ScrubShowing: Sendable {
    private let presentation: Presentation
    private let shown = Mutex(0)

    init(_ presentation: Presentation) {
        self.presentation = presentation
    }

    /// A line for every sixteenth of the store, or one that is drawn over on a terminal.
    @Sendable func progress(_ progress: ScrubProgress) {
        let isNew = shown.withLock { shown in
            defer { shown = max(shown, progress.shards) }
            return presentation.style == .bars ? progress.shards > shown : progress.shards / 16 > shown / 16
        }
        guard isNew, !presentation.quiet, presentation.style != .json else { return }
        let text = "\(progress.shards)/\(progress.allShards) directories, \(progress.blobs) blobs, \(progress.bytes)"
        Output.error.note(text)
    }

    /// - Parameters:
    ///   - only: the tree that was looked at; nil for all of the store.
    ///   - goesOn: whether the next run begins where this one ended.
    func tell(
        _ report: ScrubReport,
        of store: ContentStore,
        only: RevisionName? = nil,
        goesOn: Bool = true
    ) throws -> ExitStatus {
        for finding in report.findings { try tell(finding) }
        // Of earlier passes; a tree of which one is lost was not looked at.
        let told = Set(report.findings.compactMap(\.movedTo))
        let lost = only == nil ? try store.lostManifests().filter { !told.contains($0.place) } : []
        for manifest in lost { presentation.report(manifest.error(in: store.path)) }
        // A pass counts what all its runs read; of a tree there is no pass.
        let read = report.blobs.count == 0 ? report.run : report.blobs
        var object = JSONObject()
        object.add("event", "scrubbed")
        object.add("blobs", read)
        object.add("run", report.run)
        object.add("manifests", report.manifests)
        object.add("findings", report.findings.count)
        object.add("complete", report.isComplete)
        let blobs = "\(read.count) \(read.count == 1 ? "blob" : "blobs") (\(read.bytes))"
        let manifests = "\(report.manifests) \(report.manifests == 1 ? "manifest" : "manifests")"
        var text = "\(blobs) and \(manifests) read: \(verdict(report, read: read.count, store.path))"
        if !report.isComplete { text += "; not all was looked at" + (goesOn ? ", the next run goes on" : "") }
        try presentation.line(text, object)
        if !report.isSound || !lost.isEmpty { return .integrity }
        return report.isComplete ? .done : .limit
    }

    private func verdict(_ report: ScrubReport, read: Int, _ store: LocalPath) -> String {
        if report.isSound {
            // Sound bytes that nobody refers to: a store that lost its trees looks like this.
            let isOrphaned = report.manifests == 0 && read > 0
            return isOrphaned ? "all blobs are sound, and no tree refers to any of them" : "all are sound"
        }
        let count = "\(report.findings.count) \(report.findings.count == 1 ? "finding" : "findings")"
        let damaged: Set<ScrubFinding.What> = [.corrupt, .unreadable, .damagedManifest]
        let blobs: Set<ScrubFinding.What> = [.corrupt, .unreadable, .missing]
        var remedies: [String] = []
        let isInPlace = report.findings.contains { damaged.contains($0.what) && $0.action == .none }
        if isInPlace { remedies.append("sluice cas scrub \(store) sets aside what is damaged") }
        if report.findings.contains(where: { $0.what == .damagedManifest }) {
            remedies.append("a tree whose manifest is damaged is to be copied in again")
        }
        if report.findings.contains(where: { blobs.contains($0.what) }) {
            remedies.append("sluice cas repair \(store) brings back blobs")
        }
        return remedies.isEmpty ? count : "\(count): \(remedies.joined(separator: ", then "))"
    }

    private func tell(_ finding: ScrubFinding) throws {
        var object = JSONObject()
        object.add("event", "finding")
        object.add("what", finding.what.rawValue)
        object.add("path", finding.path)
        object.add("detail", finding.detail)
        object.add("sha256", finding.digest)
        object.add("count", finding.count)
        object.add("action", finding.action.rawValue)
        object.add("moved_to", finding.movedTo)
        let trees = Set(finding.manifests.map { $0.manifest.description }).sorted()
        object.add("trees", trees)
        var text = "\(finding.what.rawValue) \(Printable.text(finding.path)): \(finding.detail)"
        if let movedTo = finding.movedTo { text += "; set aside as \(movedTo)" }
        if !trees.isEmpty { text += "; needed by \(trees.joined(separator: ", "))" }
        try presentation.line(text, object)
    }
}
