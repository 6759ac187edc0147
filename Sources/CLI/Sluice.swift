import ArgumentParser
import Glibc
import SluicePipeline

/// The program. `docs/cli.md` says the same as `--help`, at more length.
struct Sluice: AsyncParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "sluice",
        abstract: "Moves large files, and proves that what arrived is what was published.",
        discussion: """
            A location is a URL (https://…, hf://ORG/NAME, s3://BUCKET/KEY, file://…), a path, or - for standard input \
            and output. \
            Sizes take K M G (1024) and KB MB GB (1000).

            EXAMPLES
              sluice cp https://example.org/model.gguf s3://models/
              sluice cp -r ./models/ s3://models/ --transfers 8
              sluice add --from urls.txt ./downloads/ && sluice run

            EXIT STATUS
              0 all done                      1 some transfers failed
              2 usage or configuration        3 not authorised
              4 integrity                     5 not found
              6 stopped by a limit you set    130 interrupted (state saved)
            """,
        version: version,
        subcommands: [
            Cp.self, Mirror.self, Verify.self, Ls.self, Stat.self, Cat.self, Inspect.self, Rm.self, Add.self,
            Queue.self, Run.self,
            CAS.self, Cleanup.self, Completions.self,
        ]
    )

    /// Runs the command line of this process, and ends it.
    static func start() async -> Never {
        let start: Hardening.Start
        do {
            start = try Hardening.prepare()
        } catch {
            Output.error.note("sluice: \(error)")
            Glibc.exit(ExitStatus(error.code).rawValue)
        }
        // Scripts ask for the version often: no parser, no state, no libcurl.
        if start.arguments == ["--version"] {
            Output.standard.note(version)
            Glibc.exit(0)
        }
        let ending = await CommandLineRun(start).perform()
        if let signal = ending.signal { Signals.end(by: signal) }
        Glibc.exit(ending.status)
    }
}
