import ArgumentParser
import SluicePipeline

/// Copies into a tree.
struct CASAdd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Copy files and directories into a tree: what cp -r does, for a store.",
        discussion: """
            EXAMPLES
              sluice cas add ./llama/ cas:/mnt/nas/models/llama/
              sluice cas add ./tokenizer.json cas:/mnt/nas/models/llama/
            """
    )

    @OptionGroup var copy: CopyOptions
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Look, and show what would be done; move nothing.")
    var dryRun = false
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        guard case .cas = try copy.targets().first?.kind else {
            throw ValidationError("the target is a tree: cas:/STORE/NAME[@REVISION]/")
        }
    }

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        var copy = copy
        copy.selection.recursive = true
        let work = try CopyWork(copy, settings: settings, presentation: Presentation(global), keepsSecrets: true)
        let run = CommandRun(settings: settings, presentation: work.presentation)
        if dryRun {
            try await run.perform(work.show)
        } else {
            try await run.transfer(work.copyNow)
        }
    }
}
