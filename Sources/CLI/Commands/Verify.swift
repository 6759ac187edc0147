import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Reads a mirror again and compares it with its manifest, or compares two places.
struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Prove that a mirror still is what it was, or that two places hold the same.",
        discussion: """
            One location is a mirror: its manifest is compared with its name, and every file is read again and compared \
            with the manifest. A run that was killed goes on where it was. --repair fetches again what is damaged or \
            missing, from where the manifest says it came from; what is extra is never deleted. Of a place that is none \
            itself every mirror below it is verified.

            Two locations are compared by the digests that they publish or have recorded, and the last line says how \
            many files were not re-read; nothing is read unless with --download.

            Lines: = same, - missing (only at the source), + extra (only at the target), * differs, ! not known. \
            Without -v only what is not the same. Status 0 if all is the same, 4 if anything differs, 5 if only files \
            are missing.

            EXAMPLES
              sluice verify s3://models/qwen3/
              sluice verify --rev v1.0 --repair /mnt/models/name
              sluice verify --quick --json cas:/mnt/nas/store/llama@v2
              sluice verify hf://org/name s3://models/name/
            """
    )

    @Option(
        help: .init(
            "The ref, revision (7 digits do) or manifest; of a hub the revision. Default: the only ref; the location's.",
            valueName: "name"
        )
    )
    var rev: String?
    @Flag(help: "Compare sizes and recorded digests; read no file.")
    var quick = false
    @Flag(help: "Forget what an interrupted run has read, and begin anew.")
    var restart = false
    @Flag(name: .customLong("one-way"), help: "Do not look for extra files.")
    var oneWay = false
    @Flag(help: "Of two locations, read what is in a directory, and what cannot be compared by digests.")
    var download = false
    @Flag(help: "Fetch again what is damaged or missing, and verify it again.")
    var repair = false
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what --repair would fetch; change nothing.")
    var dryRun = false
    @Argument(help: .init("A mirror; or a source, and what is compared with it.", valueName: "location"))
    var locations: [String] = []
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3") var key: S3KeyOptions
    @OptionGroup(title: "S3 objects that are written") var s3Object: S3ObjectOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        guard (1...2).contains(locations.count) else {
            throw ValidationError(
                locations.isEmpty ? "no location given" : "one location is verified, or two are compared"
            )
        }
        for text in locations where try CopyOptions.location(text).kind == .stream {
            throw ValidationError("- cannot be verified: what comes by a pipe is gone afterwards")
        }
        if dryRun, !repair { throw ValidationError("-n says what --repair would do: add --repair") }
        if restart, quick { throw ValidationError("--quick reads nothing, so that there is nothing to --restart") }
        if locations.count == 1 {
            if download { throw ValidationError("--download is for two locations: one is read anyway") }
            let location = try CopyOptions.location(locations[0])
            switch location.kind {
            case .path, .s3, .cas: break
            default:
                throw ValidationError(
                    "\(location) holds no mirror: name a directory, an S3 prefix or a store's tree, or compare it with "
                        + "one: sluice verify \(location) TARGET"
                )
            }
        } else if repair || quick || restart {
            let option = repair ? "--repair" : quick ? "--quick" : "--restart"
            throw ValidationError(
                "\(option) is for one location, a mirror" + (repair ? ": bring it with sluice cp" : "")
            )
        }
    }

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3, key: key)
        settings.apply(engine)
        settings.object = try s3Object.settings()
        var rules = VerifyRules()
        rules.rev = rev
        rules.isQuick = quick
        rules.isAnew = restart
        rules.isOneWay = oneWay
        rules.downloads = download
        rules.isRepairing = repair
        rules.isDryRun = dryRun
        rules.transfers = engine.transfers
        let work = VerifyWork(
            locations: try locations.map(CopyOptions.location),
            rules: rules,
            settings: try TransferSettings(settings).encoded(),
            presentation: Presentation(global)
        )
        let run = CommandRun(settings: settings, presentation: work.presentation)
        try await run.transfer(summarises: false, work.verify)
    }
}
