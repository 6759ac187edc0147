import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Removes objects.
struct Rm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove objects.",
        discussion: """
            Asks on a terminal before it removes anything; elsewhere it needs --yes. A prefix or a directory needs -r. \
            If a part of the listing fails, what was not listed stays.

            EXAMPLES
              sluice rm s3://models/old.gguf
              sluice rm -r -n --include '*.tmp' s3://models/
              sluice rm -r --yes s3://models/llama-1/
            """
    )

    @Flag(name: .shortAndLong, help: "Do not ask.")
    var yes = false
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be removed; remove nothing.")
    var dryRun = false
    @OptionGroup var selection: FilterOptions
    @Argument(help: .init("What to remove.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations {
            let location = try CopyOptions.location(text)
            switch location.kind {
            case .web, .named, .urn, .stream:
                throw ValidationError("\(location): only objects in S3 and files can be removed")
            case .s3, .path, .cas:
                if location.namesContainer, !selection.recursive {
                    throw ValidationError(
                        "\(location) names a directory, a prefix or a bucket: add -r for all below it"
                    )
                }
            }
        }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3)
        let locations = try locations.map(CopyOptions.location)
        try confirm(locations)
        let run = CommandRun(settings: settings, presentation: Presentation(global))
        let removal = Removal(
            recursive: selection.recursive,
            filter: selection.filter,
            dryRun: dryRun,
            presentation: run.presentation
        )
        try await run.perform { session in
            var failures: [SluiceError.Code] = []
            for location in locations { failures += try await removal.remove(location, in: session) }
            return .of(failures: failures)
        }
    }

    private func confirm(_ locations: [Location]) throws {
        if yes || dryRun { return }
        guard isTerminal(0), Output.error.isTerminal else {
            throw SluiceError(.usage, "nobody is there to ask", remedy: "add --yes to remove without a question")
        }
        let names = locations.map { "\($0)" }.joined(separator: ", ")
        let question = selection.recursive ? "Remove everything below \(names)?" : "Remove \(names)?"
        try Output.error.write("\(question) [y/N] ")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw SluiceError(.interrupted, "nothing was removed")
        }
    }

    private func isTerminal(_ descriptor: Int32) -> Bool { Output(descriptor: descriptor).isTerminal }
}

/// Lists and removes in batches: memory does not grow with the number of objects.
struct Removal: Sendable {
    let recursive: Bool
    let filter: PatternFilter
    let dryRun: Bool
    let presentation: Presentation

    /// Returns the codes of what is still there.
    func remove(_ location: Location, in session: any CommandSession) async throws -> [SluiceError.Code] {
        do {
            let source = try session.source(location)
            let isSingle = try await source.isSingleObject()
            guard isSingle || recursive else {
                throw SluiceError(.usage, "is a directory or a prefix", remedy: "add -r to remove everything below it")
            }
            let remover = try session.remover(location)
            return try await remove(source, with: remover, all: isSingle)
        } catch let error as SluiceError {
            presentation.report(error.about("\(location)"))
            return [error.code]
        }
    }

    private func remove(
        _ source: any Source,
        with remover: any ObjectRemover,
        all: Bool
    ) async throws -> [SluiceError.Code] {
        var failures: [SluiceError.Code] = []
        var batch: [SourceEntry] = []
        for try await item in source.list(recursive: recursive) {
            switch item {
            case .entry(let entry):
                guard !entry.isPrefix, all || filter.accepts(entry.relativeKey) else { continue }
                batch.append(entry)
            case .skipped(let error):
                presentation.report(error)
                failures.append(error.code)
            }
            if batch.count >= remover.batch { failures += try await flush(&batch, remover) }
        }
        return failures + (try await flush(&batch, remover))
    }

    private func flush(_ batch: inout [SourceEntry], _ remover: any ObjectRemover) async throws -> [SluiceError.Code] {
        defer { batch = [] }
        if batch.isEmpty { return [] }
        let errors = dryRun ? [] : try await remover.remove(batch)
        for error in errors { presentation.report(error) }
        let left = Set(errors.compactMap(\.object))
        for entry in batch where !left.contains(entry.location) { try presentation.removed(entry, dryRun: dryRun) }
        return errors.map(\.code)
    }
}
