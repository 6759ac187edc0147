import ArgumentParser
import SluicePipeline

/// Copies now.
struct Cp: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cp",
        abstract: "Copy between the web, hubs, files, S3 and stores, and prove the bytes.",
        discussion: """
            Nothing appears under its final name before it is proven. Interrupted work goes on when the same command \
            runs again. With -r, what is below a directory or a prefix is copied to below the target, its own name \
            left out. A target that ends in / is a directory or a prefix. With --also, each source is read once for \
            all targets; each copy has its own end, and is resumed alone. \
            With --alternate, what the source cannot bring, or has wrong, comes from another origin.

            EXAMPLES
              sluice cp https://example.org/model.gguf s3://models/
              sluice cp -r --include '*.safetensors' s3://models/llama/ ./llama/
              sluice cp -r hf://Qwen/Qwen3-0.6B@main s3://models/qwen/
              sluice cp --sha256 9f86d0…0a08 https://example.org/a.bin ./a.bin
              sluice cp https://example.org/a.gguf ./ --also s3://models/ --also /mnt/b/
              sluice cp hf://org/m/a.gguf ./ --alternate /mnt/nas/a.gguf
              tar c data | sluice cp - s3://backup/data.tar
            """
    )

    @OptionGroup var copy: CopyOptions
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Look, and show what would be done; move nothing.")
    var dryRun = false
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3 sources on another endpoint") var s3Source: S3SourceOptions
    @OptionGroup(title: "S3 objects that are written") var s3Object: S3ObjectOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        settings.source = s3Source.endpoint(beside: s3.endpoint)
        settings.object = try s3Object.settings()
        let work = try CopyWork(copy, settings: settings, presentation: Presentation(global), keepsSecrets: true)
        let run = CommandRun(settings: settings, presentation: work.presentation)
        if dryRun {
            try await run.perform(work.show)
        } else {
            try await run.transfer(work.copyNow)
        }
    }
}
