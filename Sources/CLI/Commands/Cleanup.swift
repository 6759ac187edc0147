import ArgumentParser
import SluicePipeline

/// Removes what dead runs left behind.
struct Cleanup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cleanup",
        abstract: "Remove Sluice's own unfinished uploads and stale temporary files.",
        discussion: """
            Only what Sluice made, only below the locations named, and nothing that a queued transfer can still go on \
            from. Of uploads, only those of transfers that this state file knows.

            EXAMPLES
              sluice cleanup -n s3://models/ ./downloads/
              sluice cleanup --older-than 7d s3://models/
            """
    )

    @Option(name: .customLong("older-than"), help: .init("Leave younger ones alone (s, m, h, d).", valueName: "age"))
    var olderThan = DurationArgument(hours: 24)
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be removed; remove nothing.")
    var dryRun = false
    @Argument(help: .init("Buckets, prefixes and directories.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations {
            let location = try CopyOptions.location(text)
            switch location.kind {
            case .s3, .path: continue
            case .web, .named, .urn, .stream: throw ValidationError("\(location): Sluice leaves nothing there")
            case .cas: throw ValidationError("\(location): what is left in a store is collected by sluice cas gc")
            }
        }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3)
        let locations = try locations.map(CopyOptions.location)
        let run = CommandRun(settings: settings, presentation: Presentation(global))
        let (age, isDry) = (olderThan.duration, dryRun)
        try await run.perform { session in
            let queue = try await session.queue()
            var failures: [SluiceError.Code] = []
            for location in locations {
                do {
                    let known = try await knownSessions(queue, session.time)
                    let report = try await session.sink(location).cleanUp(olderThan: age, dryRun: isDry, known: known)
                    for name in report.removed { try run.presentation.removed(name, dryRun: isDry) }
                    for error in report.failures { run.presentation.report(error) }
                    failures += report.failures.map(\.code)
                    if report.foreign > 0 { try run.presentation.leftAlone(report.foreign, at: location) }
                } catch let error as SluiceError {
                    run.presentation.report(error.about("\(location)"))
                    failures.append(error.code)
                }
            }
            return .of(failures: failures)
        }
    }

    private func knownSessions(_ queue: any CommandQueue, _ time: any TimeSource) async throws -> KnownSessions {
        let endpoint = s3.endpoint.endpointURL
        let live = try await queue.liveSessions()
        return KnownSessions(
            isLive: { live.contains($0) },
            isOurs: { target, age in
                let began = age.map { (time.wallSeconds() - $0.components.seconds) * 1000 }
                return WriteSpan.ownsDead(began, at: endpoint, try await queue.writeSpans(to: target))
            }
        )
    }
}
