import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Copies later: only queues.
struct Add: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Queue what cp would copy; run does it.",
        discussion: """
            Takes what cp takes, but for secrets: the queue outlives this command and stores none. A header's secret \
            is given as env:VARIABLE, S3 credentials by profile or environment of the run command.

            EXAMPLES
              sluice add https://example.org/model.gguf s3://models/
              sluice add --from urls.txt --priority 10 ./downloads/
              sluice add -r s3://models/llama/ /mnt/a/llama/ --also /mnt/b/llama/
              sluice add -H 'Authorization: env:TOKEN' https://example.org/gated.bin ./
            """
    )

    @OptionGroup var copy: CopyOptions
    @Option(
        name: .customLong("part-size"),
        help: .init("Part size, where the sink lets you choose.", valueName: "size")
    )
    var partSize: ByteCount?
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3 sources on another endpoint") var s3Source: S3SourceOptions
    @OptionGroup(title: "S3 objects that are written") var s3Object: S3ObjectOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for field in try http.fields() where field.isLiteral {
            throw ValidationError(
                "-H \(field.name): the queue stores no secrets; write -H '\(field.name): env:VARIABLE' and set the "
                    + "variable for sluice run"
            )
        }
        if http.insecure { throw ValidationError("--insecure holds for one run only: give it to sluice run") }
        if let proxy = http.proxy, Redact.holdsCredential(proxy) {
            throw ValidationError("--proxy with a password: set https_proxy for sluice run instead")
        }
        if (copy.locations + copy.also).contains("-") { throw ValidationError("- is gone when the queue runs: use cp") }
        for source in copy.locations.dropLast() + copy.others.alternate { try Add.refuseSecret(source) }
    }

    /// The queue outlives the command, so that a URL with a secret in it cannot go there.
    static func refuseSecret(_ source: String) throws {
        guard Redact.holdsCredential(source) else { return }
        throw ValidationError(
            "\(Redact.location(source)) carries a credential, and the queue stores none; use cp, or give the "
                + "credential as -H 'Authorization: env:VARIABLE'"
        )
    }

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.partSize = partSize
        settings.source = s3Source.endpoint(beside: s3.endpoint)
        settings.object = try s3Object.settings()
        let work = try CopyWork(copy, settings: settings, presentation: Presentation(global), keepsSecrets: false)
        try await CommandRun(settings: settings, presentation: work.presentation).perform(work.queueOnly)
    }
}
