import ArgumentParser
import SluiceBytes
import SluiceMirror
import SluicePipeline

/// Mirrors a model at one revision, with proof.
struct Mirror: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mirror",
        abstract: "Mirror a model at one revision, and keep the proof beside it.",
        discussion: """
            The revision is resolved once, and every file is of it. What the mirror has already is not asked for. A \
            manifest is written last, below .sluice/ in the mirror: it holds each file's digests, how they were \
            compared with what the hub publishes, and what was left out. A run that was \
            interrupted goes on when the same command runs again.

            One source goes to the target itself; several each go below it, under the names that their hub gives them. \
            In a content store without a tree's name, the tree gets the hub's name and the revision.

            EXAMPLES
              sluice mirror hf://Qwen/Qwen3-0.6B s3://models/qwen3/
              sluice mirror --rev v1.0 --exclude '*.bin' hf://org/name /mnt/models/name
              sluice mirror hf://org/name cas:/mnt/nas/store --also s3://models/name/
              sluice mirror -n hf://org/name s3://models/name/
            """
    )

    @Option(
        help: .init("The revision: a branch, a tag or a commit. Default: the location's, or main.", valueName: "name")
    )
    var rev: String?
    @OptionGroup var selection: MirrorFilterOptions
    @Flag(help: "Delete at the target what the mirror brought and the revision does not have any more.")
    var delete = false
    @Option(
        name: .customLong("max-delete"),
        help: .init(
            "So many may be deleted at once. Default: a tenth of the mirror, but ten at least.",
            valueName: "n"
        )
    )
    var maxDelete: Int?
    @Flag(help: "Replace files at the target that no mirror brought. Default: other content is an error.")
    var overwrite = false
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init("Another target: the sources are read once for all. May be given again.", valueName: "location")
    )
    var also: [String] = []
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be done; move nothing.")
    var dryRun = false
    @Flag(name: .customLong("check-only"), help: "Only tell whether the mirror is up to date; status 1 if it is not.")
    var checkOnly = false
    @Option(parsing: .unconditional, help: .init("Higher runs earlier, -1000 to 1000.", valueName: "n"))
    var priority = 0
    @Argument(help: .init("Sources, then the target.", valueName: "location"))
    var locations: [String] = []
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3 objects that are written") var s3Object: S3ObjectOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if locations.count < 2 {
            throw ValidationError(locations.isEmpty ? "no source and no target given" : "no target given")
        }
        if !(-1000...1000).contains(priority) { throw ValidationError("--priority must be -1000 to 1000") }
        if let maxDelete, maxDelete < 0 { throw ValidationError("--max-delete must not be negative") }
        if maxDelete != nil, !delete {
            throw ValidationError("--max-delete says how much --delete may do: add --delete")
        }
        for text in locations + also { _ = try CopyOptions.location(text) }
        if (also + [locations.last ?? ""]).contains("-") {
            throw ValidationError("a mirror has many files: standard output cannot hold it")
        }
    }

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        settings.object = try s3Object.settings()
        let work = MirrorWork(
            sources: try locations.dropLast().map(CopyOptions.location),
            targets: try ([locations.last ?? ""] + also).map(CopyOptions.location),
            rules: MirrorRules(
                revision: rev,
                filter: selection.filter,
                selection: selection.text,
                overwrite: overwrite,
                deletes: delete,
                maxDelete: maxDelete,
                settings: try TransferSettings(settings).encoded()
            ),
            priority: priority,
            presentation: Presentation(global)
        )
        let run = CommandRun(settings: settings, presentation: work.presentation)
        if dryRun || checkOnly {
            try await run.perform { session in try await work.show(session, isCheck: checkOnly) }
        } else {
            try await run.transfer(work.mirror)
        }
    }
}

/// Which files of a revision are taken.
struct MirrorFilterOptions: ParsableArguments {
    @Option(
        help: .init(
            "Only paths that match; repeatable.",
            discussion: """
                The first rule that matches, in command-line order, decides; * and ? stop at /, ** does not; a leading \
                / anchors.
                """,
            valueName: "pattern"
        ),
        transform: OrderedPattern.init
    )
    var include: [OrderedPattern] = []

    @Option(help: .init("No paths that match; repeatable.", valueName: "pattern"), transform: OrderedPattern.init)
    var exclude: [OrderedPattern] = []

    private var rules: [(order: Int, includes: Bool, pattern: KeyPattern)] {
        (include.map { ($0.order, true, $0.pattern) } + exclude.map { ($0.order, false, $0.pattern) })
            .sorted { $0.0 < $1.0 }
    }

    var filter: PatternFilter {
        PatternFilter(rules: rules.map { PatternFilter.Rule(includes: $0.includes, pattern: $0.pattern) })
    }

    /// The same as words of a command line; empty without a rule.
    var text: String {
        rules.map { ($0.includes ? "--include " : "--exclude ") + $0.pattern.text }.joined(separator: " ")
    }
}
