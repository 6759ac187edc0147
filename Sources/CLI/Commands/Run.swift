import ArgumentParser
import SluicePipeline

/// Drains the queue.
struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Do what is queued.",
        discussion: """
            Several run commands share one queue; each transfer is done by one of them. Work that needs secrets of \
            its command (cp with -H or a signed URL) waits for that command.

            EXAMPLES
              sluice run
              sluice run --watch --transfers 8 --bwlimit 50M
            """
    )

    @Flag(help: "Stay, and take what is added.")
    var watch = false
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        let presentation = Presentation(global)
        try await CommandRun(settings: settings, presentation: presentation).transfer { session, _ in
            try await session.run(job: nil, watch: watch)
        }
    }
}
