import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Puts trees out as files.
struct CASCheckout: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkout",
        abstract: "Put a tree out as files: shared, linked or copied, whatever the file system can.",
        discussion: """
            Each file is a reflink of its blob where the file system shares extents, else a hard link (read-only, like \
            the blob), else a copy; each line says which. What is there with the same content is left, other content \
            needs --overwrite. With --hf-cache a tree that came from the Hub is laid out as huggingface_hub keeps it, \
            a mirror without its own records, in DIRECTORY or in the store's own hub/; HF_HUB_CACHE then names that directory.

            EXAMPLES
              sluice cas checkout cas:/mnt/nas/models/llama ./llama
              sluice cas checkout --writable cas:/mnt/nas/models/llama@v2 ./llama
              sluice cas checkout --hf-cache cas:/mnt/nas/models/hf:org/name
            """
    )

    @OptionGroup var links: LinkOptions
    @Flag(help: "Files that may be written: no hard links.")
    var writable = false
    @Flag(help: "Replace files of other content.")
    var overwrite = false
    @Flag(help: "Hash every blob, also where no byte is copied.")
    var verify = false
    @Flag(name: .customLong("hf-cache"), help: "Lay it out as the cache of huggingface_hub.")
    var huggingFace = false
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be put out; make nothing.")
    var dryRun = false
    @Argument(help: .init("cas:/STORE/[KIND:]NAME[@REVISION][/PATH].", valueName: "tree"))
    var tree: String
    @Argument(help: .init("Where to; made if it is missing.", valueName: "directory"))
    var directory: String?
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if directory == nil, !huggingFace { throw ValidationError("no directory given") }
        if huggingFace, writable { throw ValidationError("--hf-cache and --writable contradict each other") }
    }

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let destination = try directory.map { try StoreArgument.path($0) }
        var options = PlacementOptions()
        options.modes = links.modes ?? LinkMode.usual
        options.writable = writable
        options.overwrite = overwrite
        options.verify = verify
        let (tree, huggingFace, isDryRun) = (tree, huggingFace, dryRun)
        try await run.inStoreUntilStopped { [options] session in
            var options = options
            options.isStopped = { session.isStopped }
            let checkout = Checkout(presentation: run.presentation, options: options, isDryRun: isDryRun)
            let place = try TreeArguments.place(tree, session)
            guard let found = try place.share.store.wholeTree(place.name) else {
                throw TreeArguments.missing(place)
            }
            if huggingFace {
                let mirrored = try MirroredTree(found, place.share.store)
                let files = try Checkout.files(mirrored.files, of: found.name, below: place.path)
                return try checkout.huggingFace(place.share, found.name, files, mirrored.branches, to: destination)
            }
            let files = try Checkout.files(found.files, of: found.name, below: place.path)
            guard let destination else { return .usage }
            return try checkout.files(place.share.store, files, to: destination)
        }
    }
}

/// How files share bytes with blobs.
struct LinkOptions: ParsableArguments {
    enum Way: String, ExpressibleByArgument, CaseIterable, Sendable {
        case reflink
        case hardlink
        case symlink
        case copy
    }

    @Option(
        name: .customLong("link"),
        help: .init("Only this way: reflink, hardlink, symlink or copy; may be repeated, in order.", valueName: "way")
    )
    var ways: [Way] = []

    /// Nil: the usual ones.
    var modes: [LinkMode]? { ways.isEmpty ? nil : ways.compactMap { LinkMode(rawValue: $0.rawValue) } }
}

/// Puts files out, and tells of each.
private struct Checkout: Sendable {
    let presentation: Presentation
    let options: PlacementOptions
    let isDryRun: Bool

    /// The files of a tree, or those below one of its directories, with paths from there.
    static func files(
        _ files: [Manifest.File],
        of tree: RevisionName,
        below path: ObjectKey
    ) throws(SluiceError) -> [Manifest.File] {
        if path.bytes.isEmpty { return files }
        if let one = files.first(where: { $0.path == path }) { return [one.at(path.lastComponent)] }
        let prefix = path.appending(ObjectKey("/"))
        let below = files.filter { $0.path.hasPrefix(prefix) }.map { file in
            file.at(ObjectKey(bytes: file.path.bytes.dropFirst(prefix.bytes.count)))
        }
        guard below.isEmpty else { return below }
        throw SluiceError(.notFound, object: "\(tree) \(path)", "the tree has nothing there")
    }

    func files(_ store: ContentStore, _ files: [Manifest.File], to directory: LocalPath) throws -> ExitStatus {
        let materialiser = try Materialiser(store, to: directory, options, pool: BufferPool(retained: 4))
        if isDryRun {
            return try foresee { (tell) throws(SluiceError) in try materialiser.foresee(files, report: tell) }
        }
        var failures: Set<SluiceError.Code> = []
        let summary = try materialiser.run(files) { (file) throws(SluiceError) in
            if let code = try tell(file) { failures.insert(code) }
        }
        return try end(summary, failures)
    }

    func huggingFace(
        _ share: StoreShare,
        _ name: RevisionName,
        _ files: [Manifest.File],
        _ mirrored: [String],
        to cache: LocalPath?
    ) throws -> ExitStatus {
        guard let kind = HuggingFaceKind(manifestKind: name.kind) else {
            throw SluiceError(
                .usage,
                object: "\(name)",
                "did not come from the Hub: its kind is \(name.kind)",
                remedy: "leave --hf-cache out"
            )
        }
        let view = try HuggingFaceView(share.store, cache: cache, options, pool: BufferPool(retained: 4))
        let repository = try HuggingFaceRepository(kind, name.name)
        if isDryRun {
            return try foresee { (tell) throws(SluiceError) in
                try view.foresee(repository, commit: name.revision, files, report: tell)
            }
        }
        let branches = Set(try share.store.branches(of: name) + mirrored).sorted()
        var failures: Set<SluiceError.Code> = []
        let summary = try view.write(
            repository,
            commit: name.revision,
            branches: branches,
            files
        ) { (file) throws(SluiceError) in
            if let code = try tell(file) { failures.insert(code) }
        }
        return try end(summary, failures)
    }

    private typealias Tell = (Manifest.File, Result<Foreseen, SluiceError>) throws(SluiceError) -> Void

    /// A dry run: a line for each file that would be put out or would fail.
    private func foresee(_ look: (Tell) throws(SluiceError) -> Void) throws -> ExitStatus {
        var failures: Set<SluiceError.Code> = []
        var counts: [Foreseen: Int] = [:]
        var failed = 0
        var bytes = ByteCount(0)
        try look { (file, outcome) throws(SluiceError) in
            switch outcome {
            case .success(let foreseen):
                counts[foreseen, default: 0] += 1
                if foreseen != .present { bytes = ByteCount(bytes.bytes.addingCapped(file.size.bytes)) }
                try tell(file, foreseen)
            case .failure(let error):
                presentation.report(error.about("\(file.path)"))
                failures.insert(error.code)
                failed += 1
            }
        }
        let (place, replace, present) = (counts[.place] ?? 0, counts[.replace] ?? 0, counts[.present] ?? 0)
        let tail = failed == 0 ? "" : "; \(failed) would fail"
        presentation.say("would place \(place), replace \(replace), leave \(present) as they are\(tail); \(bytes)")
        return .of(failures: failures)
    }

    private func tell(_ file: Manifest.File, _ foreseen: Foreseen) throws(SluiceError) {
        var object = JSONObject()
        object.add("event", "would_place")
        object.add("path", file.path.text)
        object.add("size", file.size.bytes)
        object.add("how", foreseen.rawValue)
        do {
            if foreseen != .present {
                try presentation.line("would \(foreseen.rawValue) \(file.path)  \(file.size)", object)
            } else if presentation.verbosity > 0 || presentation.style == .json {
                try presentation.line("present \(file.path)  \(file.size)", object)
            }
        } catch {
            throw SluiceError.wrapping(error)
        }
    }

    /// Returns the code of a failure.
    private func tell(_ file: PlacedFile) throws(SluiceError) -> SluiceError.Code? {
        var object = JSONObject()
        object.add("event", "placed")
        object.add("path", file.path.text)
        object.add("size", file.size.bytes)
        do {
            switch file.outcome {
            case .success(.present):
                object.add("how", "present")
                if presentation.verbosity > 0 || presentation.style == .json {
                    try presentation.line("present   \(file.path)", object)
                }
            case .success(.placed(let mode)), .success(.replaced(let mode)):
                object.add("how", mode.rawValue)
                try presentation.line(Columns.padded(mode.rawValue, to: 9) + " \(file.path)", object)
            case .failure(let error):
                presentation.report(error.about("\(file.path)"))
                return error.code
            }
        } catch {
            throw SluiceError.wrapping(error)
        }
        return nil
    }

    private func end(_ summary: PlacementSummary, _ failures: Set<SluiceError.Code>) throws -> ExitStatus {
        var parts = LinkMode.allCases.compactMap { mode in summary.placed[mode].map { "\($0) by \(mode.rawValue)" } }
        if summary.present > 0 { parts.append("\(summary.present) present") }
        if summary.failed > 0 { parts.append("\(summary.failed) failed") }
        presentation.say((parts.isEmpty ? "no files" : parts.joined(separator: ", ")) + "; \(summary.bytes)")
        return .of(failures: failures)
    }
}

extension Manifest.File {
    fileprivate func at(_ path: ObjectKey) -> Manifest.File {
        Manifest.File(
            path: path,
            size: size,
            digest: digest,
            alternates: alternates,
            sources: sources,
            generation: generation
        )
    }
}
