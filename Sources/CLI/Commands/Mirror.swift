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
            Several revisions (--rev again) each go below it as @REVISION, and what they share comes once. \
            In a content store without a tree's name, the tree gets the hub's name and the revision. \
            --layout hf-cache makes of a directory a cache that huggingface_hub reads.

            --from FILE mirrors the models of a YAML file; the target, if one is named, is for those that name none:

              defaults: {to: /mnt/models/, exclude: ["*.bin"]}
              models:
                - hf://org/one
                - {source: hf://org/two, rev: [v1, main], to: s3://models/two/, priority: 10}

            EXAMPLES
              sluice mirror hf://Qwen/Qwen3-0.6B s3://models/qwen3/
              sluice mirror --rev v1.0 --exclude '*.bin' hf://org/name /mnt/models/name
              sluice mirror hf://org/name cas:/mnt/nas/store --also s3://models/name/
              sluice mirror hf://org/name s3://m/ --alternate /mnt/nas/name/
              sluice mirror -n hf://org/name s3://models/name/
              sluice mirror --rev v1.0 --rev v2.0 hf://org/name /mnt/models/name
              sluice mirror --layout hf-cache hf://org/name ~/.cache/huggingface/hub
              sluice mirror --from models.yaml /mnt/models
            """
    )

    @Option(
        parsing: .unconditionalSingleValue,
        help: .init(
            "The revision: a branch, a tag or a commit. Default: the location's, or main. May be given again.",
            valueName: "name"
        )
    )
    var rev: [String] = []
    @Option(help: .init("How directories are laid out: plain (default) or hf-cache.", valueName: "layout"))
    var layout: MirrorLayout?
    @Option(help: .init("Mirror the models that this YAML file names; - is standard input.", valueName: "file"))
    var from: String?
    @OptionGroup var selection: MirrorFilterOptions
    @Flag(help: "Delete at the target what the mirror brought and the revision does not have any more.")
    var delete = false
    @Option(
        name: .customLong("max-delete"),
        help: .init(
            """
            So many may be deleted at once. Default: a tenth of the mirror, but ten at least, and none after a listing \
            that may be cut.
            """,
            valueName: "n"
        )
    )
    var maxDelete: Int?
    @Flag(help: "Replace files that no mirror brought, or that were changed since. Default: other content is an error.")
    var overwrite = false
    @Flag(name: .customLong("no-structure"), help: "Do not look at the headers of the model files that arrived.")
    var noStructure = false
    @Option(
        parsing: .unconditionalSingleValue,
        help: .init("Another target: the sources are read once for all. May be given again.", valueName: "location")
    )
    var also: [String] = []
    @OptionGroup var others: AlternateOptions
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be done; move nothing.")
    var dryRun = false
    @Flag(name: .customLong("check-only"), help: "Only tell whether the mirror is up to date; status 1 if it is not.")
    var checkOnly = false
    @Option(parsing: .unconditional, help: .init("Higher runs earlier, -1000 to 1000. Default: 0.", valueName: "n"))
    var priority: Int?
    @Argument(help: .init("Sources, then the target.", valueName: "location"))
    var locations: [String] = []
    @OptionGroup(title: "Resources") var engine: EngineOptions
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3 objects that are written") var s3Object: S3ObjectOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if from != nil {
            try validateList()
        } else if locations.count < 2 {
            throw ValidationError(locations.isEmpty ? "no source and no target given" : "no target given")
        }
        if !others.alternate.isEmpty, from == nil, locations.count != 2 {
            throw ValidationError("--alternate is another origin of one source: give one source")
        }
        if let priority, !(-1000...1000).contains(priority) {
            throw ValidationError("--priority must be -1000 to 1000")
        }
        if let maxDelete, maxDelete < 0 { throw ValidationError("--max-delete must not be negative") }
        if maxDelete != nil, !delete {
            throw ValidationError("--max-delete says how much --delete may do: add --delete")
        }
        if delete, layout == .huggingFaceCache {
            throw ValidationError("a cache keeps revisions beside one another: --delete has no meaning there")
        }
        if Set(rev).count < rev.count { throw ValidationError("a revision is named twice") }
        if let name = rev.first(where: \.isEmpty) { throw ValidationError("'\(name)' is no revision") }
        for text in locations + also { _ = try CopyOptions.location(text) }
        if (also + [locations.last ?? ""]).contains("-") {
            throw ValidationError("a mirror has many files: standard output cannot hold it")
        }
    }

    /// What the file says is not said twice.
    private func validateList() throws {
        if locations.count > 1 {
            throw ValidationError("--from names the models: only a target for those that name none can stand beside it")
        }
        let given: [(String, Bool)] = [
            ("--rev", !rev.isEmpty), ("--include or --exclude", !selection.text.isEmpty), ("--also", !also.isEmpty),
            ("--layout", layout != nil), ("--priority", priority != nil), ("--alternate", !others.alternate.isEmpty),
        ]
        if let option = given.first(where: \.1)?.0 {
            throw ValidationError("\(option) stands in the file of --from, under defaults or a model")
        }
    }

    func run() async throws {
        var settings = try SessionSettings(global, http: http, s3: s3)
        settings.apply(engine)
        settings.object = try s3Object.settings()
        var presentation = Presentation(global)
        presentation.remedyForExisting = MirrorPlace.remedy
        var rules = MirrorRules()
        rules.overwrite = overwrite
        rules.deletes = delete
        rules.maxDelete = maxDelete
        rules.looksForOthers = dryRun && !checkOnly
        rules.checksStructure = !noStructure
        rules.settings = try TransferSettings(settings).encoded()
        let run = CommandRun(settings: settings, presentation: presentation)
        if let from {
            let batch = MirrorBatch(items: try items(of: from, rules, presentation), presentation: presentation)
            return try await perform(run, batch.show, batch.mirror)
        }
        rules.revisions = rev
        rules.filter = selection.filter
        rules.selection = selection.text
        rules.layout = layout ?? .plain
        rules.alternates = try others.places()
        let sources = try locations.dropLast().map(CopyOptions.location)
        let work = MirrorWork(
            sources: sources,
            targets: try ([locations.last ?? ""] + also).map { text in
                MirrorTarget(location: try CopyOptions.location(text), isShared: sources.count > 1)
            },
            rules: rules,
            priority: priority ?? 0,
            presentation: presentation
        )
        let show = { (session: any CommandSession, isCheck: Bool) in
            try await work.show(session, isCheck: isCheck).status(isCheck: isCheck)
        }
        try await perform(run, show, work.mirror)
    }

    private func perform(
        _ run: CommandRun,
        _ show: (any CommandSession, Bool) async throws -> ExitStatus,
        _ mirror: @escaping @Sendable (any CommandSession, TransferDisplay) async throws -> RunReport
    ) async throws {
        if dryRun || checkOnly {
            try await run.perform { session in try await show(session, checkOnly) }
        } else {
            try await run.transfer(mirror)
        }
    }

    private func items(
        of path: String,
        _ rules: MirrorRules,
        _ presentation: Presentation
    ) throws -> [MirrorBatch.Item] {
        let target = try locations.first.map(CopyOptions.location)
        let list = try ModelList(try MirrorBatch.text(of: path), path: path, target: target)
        return try list.models.map { model in
            if delete, model.layout == .huggingFaceCache {
                throw SluiceError(
                    .usage,
                    object: "\(path):\(model.line)",
                    "a cache keeps revisions beside one another: --delete has no meaning there",
                    remedy: "leave --delete out"
                )
            }
            var own = rules
            own.revisions = model.revisions
            own.filter = model.filter
            own.selection = model.selection
            own.layout = model.layout
            own.alternates = AlternatePlaces(locations: model.alternates)
            return MirrorBatch.Item(
                name: "\(model.source)",
                work: MirrorWork(
                    sources: [model.source],
                    targets: model.targets,
                    rules: own,
                    priority: model.priority,
                    presentation: presentation
                )
            )
        }
    }
}

extension MirrorLayout: ExpressibleByArgument {}

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
