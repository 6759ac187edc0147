import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Probes the mount of a store.
struct CASDoctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Find out by trying whether a store is safe on its mount.",
        discussion: """
            Works in a directory of its own, below the store's tmp/ or in a directory that is no store yet, and removes \
            it again. What other hosts see of this one cannot be tried. The status is 1 if something is unsafe; what was \
            found of a store's mount is kept on this machine, and whoever writes into the store hears of it.

            EXAMPLES
              sluice cas doctor /mnt/nas/models
              sluice cas doctor --json /mnt/nas
            """
    )

    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        try await run.inStore { session in
            let report = try MountProbe.run(path)
            // A directory that is no store yet is probed, and nothing remembered.
            if let share = try? session.share(path) { try share.mountMemory?.keep(report) }
            try run.presentation.mount(report, path)
            for trait in MountTrait.allCases {
                if let finding = report[trait] { try run.presentation.trait(trait, finding) }
            }
            for hazard in report.hazards { try run.presentation.hazard(hazard) }
            return report.grade == .unsafe ? .someFailed : .done
        }
    }
}

extension Presentation {
    fileprivate func mount(_ report: MountProbeReport, _ path: LocalPath) throws {
        var object = JSONObject()
        object.add("event", "mount")
        object.add("path", path.description)
        object.add("type", report.mount?.type)
        object.add("from", report.mount?.source)
        object.add("options", report.mount?.options.joined(separator: ","))
        object.add("grade", report.grade.rawValue)
        object.add("server_time", report.skew.map { $0.server.nanoseconds / 1_000_000_000 })
        object.add("local_time", report.skew.map { $0.local.nanoseconds / 1_000_000_000 })
        let mount = report.mount.map { "\($0.type) from \($0.source), \($0.options.joined(separator: ","))" }
        try line("\(path): \(report.grade.rawValue); \(mount ?? "the kernel does not tell which mount it is")", object)
    }

    fileprivate func trait(_ trait: MountTrait, _ finding: MountFinding) throws {
        var object = JSONObject()
        object.add("event", "trait")
        object.add("trait", trait.rawValue)
        object.add("holds", finding.holds)
        object.add("reason", finding.reason)
        let reason = finding.reason.map { " (\($0))" } ?? ""
        let name = Columns.padded(trait.rawValue, to: 24, right: false)
        try line("  \(name)\(finding.holds ? "yes" : "no")\(reason)", object)
    }

    fileprivate func hazard(_ hazard: MountHazard) throws {
        var object = JSONObject()
        object.add("event", "hazard")
        object.add("grade", hazard.grade.rawValue)
        object.add("subject", hazard.subject)
        object.add("what", hazard.what)
        object.add("why", hazard.why)
        object.add("remedy", hazard.remedy)
        try line("\(hazard.grade.rawValue): \(hazard)", object)
    }
}
