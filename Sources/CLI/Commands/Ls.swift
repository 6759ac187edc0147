import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Lists objects as they arrive.
struct Ls: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List objects of a bucket, a prefix, a repository or a directory.",
        discussion: """
            Lines appear while the listing is under way; memory does not grow with it.

            EXAMPLES
              sluice ls s3://models/
              sluice ls -lr s3://models/llama/
              sluice ls -l hf://Qwen/Qwen3-0.6B
              sluice ls --json -r ./models | jq .size
            """
    )

    @Flag(name: .shortAndLong, help: "Size and date too.")
    var long = false
    @OptionGroup var selection: FilterOptions
    @Argument(help: .init("What to list.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations where try CopyOptions.location(text).kind == .stream {
            throw ValidationError("- cannot be listed")
        }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3)
        let locations = try locations.map(CopyOptions.location)
        let run = CommandRun(settings: settings, presentation: Presentation(global))
        let listing = Listing(recursive: selection.recursive, filter: selection.filter, long: long, json: global.json)
        try await run.perform { session in
            var failures: [SluiceError.Code] = []
            for location in locations {
                do {
                    failures += try await listing.print(location, of: session, named: locations.count > 1)
                } catch let error as SluiceError {
                    run.presentation.report(error.about("\(location)"))
                    failures.append(error.code)
                }
            }
            return .of(failures: failures)
        }
    }
}

/// Prints a listing, item by item.
struct Listing: Sendable {
    let recursive: Bool
    let filter: PatternFilter
    let long: Bool
    let json: Bool

    /// Returns the codes of what could not be listed.
    func print(_ location: Location, of session: any CommandSession, named: Bool) async throws -> [SluiceError.Code] {
        let source = try session.source(location)
        var failures: [SluiceError.Code] = []
        if named, !json { try Output.standard.line("\(location):") }
        for try await item in source.list(recursive: recursive) {
            switch item {
            case .entry(let entry):
                guard filter.rules.isEmpty || filter.accepts(entry.relativeKey) else { continue }
                try Output.standard.line(json ? Listing.object(entry).text : line(entry))
            case .skipped(let error):
                Output.error.note("sluice: \(error)")
                failures.append(error.code)
            }
        }
        return failures
    }

    func line(_ entry: SourceEntry) -> String {
        let key = entry.relativeKey.bytes.isEmpty ? entry.baseName : entry.relativeKey
        let isMarked = entry.isPrefix && key.bytes.last != UInt8(ascii: "/")
        let name = "\(key)" + (isMarked ? "/" : "")
        guard long else { return name }
        let size = entry.isPrefix ? "-" : entry.size.map { "\($0)" } ?? "?"
        let date = entry.modified.map { DateText.utc($0) } ?? "-"
        return "\(Columns.padded(size, to: 15, right: true))  \(Columns.padded(date, to: 20))  \(name)"
    }

    static func object(_ entry: SourceEntry) -> JSONObject {
        var object = JSONObject()
        object.add("key", entry.relativeKey.bytes.isEmpty ? entry.baseName.text : entry.relativeKey.text)
        object.add("location", Redact.location(entry.location))
        object.add("prefix", entry.isPrefix)
        object.add("size", entry.size)
        object.add("modified", entry.modified.map { DateText.utc($0) })
        object.add("etag", entry.etag)
        return object
    }
}
