import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Takes in what other tools keep.
struct CASImport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take in a Hugging Face cache, an Ollama store or a directory, and leave it where it is.",
        discussion: """
            Every file is hashed anew, whatever its name claims. Its bytes are shared where the file system can, else \
            copied; --link hardlink makes the user's own file the blob, read-only from then on.

            EXAMPLES
              sluice cas import hf ~/.cache/huggingface/hub /mnt/nas/models
              sluice cas import ollama ~/.ollama/models /mnt/nas/models
              sluice cas import directory ./llama cas:/mnt/nas/models/llama@v1
            """
    )

    enum Form: String, ExpressibleByArgument, CaseIterable, Sendable {
        case hf
        case ollama
        case directory
    }

    @OptionGroup var links: LinkOptions
    @Flag(help: "Replace files of the trees that have other content.")
    var overwrite = false
    @Argument(help: "What it is: hf, ollama or directory.")
    var form: Form
    @Argument(help: .init("The cache, store or directory to take in.", valueName: "directory"))
    var directory: String
    @Argument(help: .init("The store; for a directory, its tree: cas:/STORE/NAME[@REVISION].", valueName: "store"))
    var target: String
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        var options = ImportOptions()
        if let modes = links.modes { options.modes = modes }
        let source = try StoreArgument.path(directory)
        let (form, target, importing) = (form, target, Importing(run.presentation, overwrite))
        try await run.inStoreUntilStopped { [options] session in
            var options = options
            options.isStopped = { session.isStopped }
            switch form {
            case .hf:
                let share = try session.share(StoreArgument.path(target))
                return try importing.run(HuggingFaceImport(source), into: share, options)
            case .ollama:
                let share = try session.share(StoreArgument.path(target))
                return try importing.run(OllamaImport(source), into: share, options)
            case .directory:
                let place = try TreeArguments.whole(
                    TreeArguments.place(target, session),
                    remedy: "name a tree of its own, or copy into that place: sluice cp -r \(source)/ \(target)/"
                )
                let directory = try DirectoryImport(
                    source,
                    kind: place.name.kind,
                    name: place.name.name,
                    revision: place.name.revision
                )
                return try importing.run(directory, into: place.share, options)
            }
        }
    }
}

/// Runs an import, commits what it brings, and tells of it.
private struct Importing: Sendable {
    let presentation: Presentation
    let overwrite: OverwritePolicy

    init(_ presentation: Presentation, _ overwrite: Bool) {
        self.presentation = presentation
        self.overwrite = overwrite ? .overwrite : .refuse
    }

    func run(_ source: some RevisionImport, into share: StoreShare, _ options: ImportOptions) throws -> ExitStatus {
        let writer = try share.writer()
        let importer = try BlobImporter(writer, options, pool: BufferPool(retained: 4))
        var failures: Set<SluiceError.Code> = []
        var trees = 0
        let summary = try source.run(importer) { (file) throws(SluiceError) in
            if case .failure(let error) = file.outcome {
                presentation.report(error.about(file.location))
                failures.insert(error.code)
            }
        } body: { (revision) throws(SluiceError) in
            let refused = try commit(revision, share, writer)
            for error in Importing.distinct(refused) {
                presentation.report(error)
                failures.insert(error.code)
            }
            if refused.isEmpty { trees += 1 }
        }
        var parts = LinkMode.allCases.compactMap { mode in summary.taken[mode].map { "\($0) by \(mode.rawValue)" } }
        if summary.present > 0 { parts.append("\(summary.present) there already") }
        if summary.skipped > 0 { parts.append("\(summary.skipped) skipped") }
        if summary.failed > 0 { parts.append("\(summary.failed) failed") }
        if summary.incomplete > 0 { parts.append("\(summary.incomplete) trees left out, since files of theirs failed") }
        presentation.say(
            "\(trees) \(trees == 1 ? "tree" : "trees"), files: "
                + (parts.isEmpty ? "none" : parts.joined(separator: ", "))
        )
        return .of(failures: failures)
    }

    /// What concerns all files is told once.
    private static func distinct(_ errors: [SluiceError]) -> [SluiceError] {
        var told: Set<String> = []
        return errors.filter { told.insert("\($0)").inserted }
    }

    /// Returns what of it could not be added.
    private func commit(
        _ revision: ImportedRevision,
        _ share: StoreShare,
        _ writer: StoreWriter
    ) throws(SluiceError) -> [SluiceError] {
        let name = try RevisionName(kind: revision.kind, name: revision.name, revision: revision.revision)
        let outcomes = AdditionRound(share: share, writer: writer).run(
            revision.files.map { TreeAddition($0, to: name, overwrite: overwrite) }
        )
        let failures = outcomes.compactMap { (outcome) -> SluiceError? in
            guard case .failure(let error) = outcome else { return nil }
            return error
        }
        guard failures.isEmpty else { return failures }
        for branch in revision.branches { try writer.point(branch, to: name) }
        var object = JSONObject()
        object.add("event", "imported")
        object.add("kind", name.kind)
        object.add("name", name.name)
        object.add("revision", name.revision)
        object.add("files", revision.files.count)
        do {
            try presentation.line("imported \(name), \(revision.files.count) files", object)
        } catch {
            throw SluiceError.wrapping(error)
        }
        return []
    }
}
