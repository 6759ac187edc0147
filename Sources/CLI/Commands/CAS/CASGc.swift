import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Collects garbage.
struct CASGc: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gc",
        abstract: "Collect blobs that no tree and no running copy needs.",
        discussion: """
            Safe while others write, on any host. What nobody needs is moved to the store's trash first, and removed by \
            a later run, when --grace has passed once more and still nobody needs it. In doubt (a record that cannot \
            be read, a listing that is short, clocks that differ) nothing is removed, and the status is not 0. With \
            --exclusive nothing waits: what a killed process of this machine left goes at once, and the lease of one \
            that died elsewhere is alive for an hour.

            EXAMPLES
              sluice cas gc -n /mnt/nas/models
              sluice cas gc /mnt/nas/models
              sluice cas gc --exclusive /mnt/nas/models
            """
    )

    @Option(help: .init("Leave what is younger (s, m, h, d); at least 24h. Default: 48h.", valueName: "age"))
    var grace: DurationArgument?
    @Flag(help: "No waiting: you vouch that nobody else uses the store. Refused while a lease is alive.")
    var exclusive = false
    @Flag(help: "Go on although most trees, or all, are gone, or what manifests in quarantine needed is unknown.")
    var force = false
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be done; change nothing.")
    var dryRun = false
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if !exclusive, let grace, grace.duration < CollectionOptions.shortestGrace {
            throw ValidationError("--grace is at least 24h: what another host has not told yet, it tells within a day")
        }
    }

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        var options = CollectionOptions()
        if let grace { options.grace = grace.duration }
        options.isExclusive = exclusive
        options.isForced = force
        options.isDryRun = dryRun
        try await run.inStore { [options] session in
            let report = try await CASGc.collector(session.share(path), options).run()
            try run.presentation.collected(report, isDryRun: options.isDryRun)
            return .done
        }
    }
}

extension CASGc {
    /// The one command that makes room must not ask for some.
    private static func collector(_ share: StoreShare, _ options: CollectionOptions) throws(SluiceError) -> Collector {
        if !share.store.isNearlyFull {
            do throws(SluiceError) {
                return Collector(try share.writer(), options)
            } catch {
                // A quota, or what the file system keeps for others.
                guard error.code == .noSpace else { throw error }
            }
        }
        return Collector(withoutLease: share.store, options)
    }
}

extension Presentation {
    fileprivate func collected(_ report: CollectionReport, isDryRun: Bool) throws {
        let amounts: [(String, CollectionReport.Amount)] = [
            ("young", report.young), ("pinned", report.pinned), ("condemned", report.condemned),
            ("held_outside", report.heldOutside),
            ("waiting", report.waiting),
            ("resurrected", report.resurrected), ("removed", report.removed), ("swept", report.swept),
        ]
        var object = JSONObject()
        object.add("event", isDryRun ? "would_collect" : "collected")
        object.add("revisions", report.revisions)
        object.add("blobs", report.blobs)
        object.add("live_leases", report.liveLeases)
        for (name, amount) in amounts {
            object.add(name, amount.count)
            object.add("\(name)_bytes", amount.bytes.bytes)
        }
        func told(_ amount: CollectionReport.Amount) -> String {
            "\(amount.count) blob\(amount.count == 1 ? "" : "s") (\(amount.bytes))"
        }
        let would = isDryRun ? "would be " : ""
        var text = "\(report.revisions) trees, \(report.blobs) blobs; "
        text += "\(told(report.condemned)) \(would)moved to the trash"
        if report.heldOutside.count > 0 {
            text += ", of which \(told(report.heldOutside)) have names outside and free nothing"
        }
        text += "; \(told(report.removed)) \(would)removed, \(told(report.waiting)) wait in the trash"
        if report.young.count > 0 { text += "; \(told(report.young)) needed by nobody are younger than the grace" }
        if report.pinned.count > 0 {
            text += "; \(told(report.pinned)) needed by no tree are kept for "
            text += report.pinningWriters.joined(separator: ", ")
        }
        if report.resurrected.count > 0 { text += "; \(told(report.resurrected)) \(would)taken back from it" }
        if report.swept.count > 0 { text += "; \(report.swept.count) leftovers of dead writers swept" }
        try line(text, object)
    }
}
