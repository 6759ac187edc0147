import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Checks the structure of model files.
struct Inspect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Check that model files are whole, by their headers.",
        discussion: """
            Reads headers only: of safetensors and GGUF files whether header and size agree, of the index of a model \
            in several files whether they are there and hold its tensors, and it names pickle files, which run code \
            when loaded. A page or a pointer in place of a model is found. What the tensors hold only a digest proves.

            EXAMPLES
              sluice inspect ./llama/
              sluice inspect -r s3://models/
              sluice inspect --tensors https://example.org/model.gguf
            """
    )

    @Flag(name: .shortAndLong, help: "Everything below a directory or a prefix.")
    var recursive = false
    @Flag(help: "Print every tensor: its type, shape, offset and length.")
    var tensors = false
    @Argument(help: .init("What to check.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3") var key: S3KeyOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations where try CopyOptions.location(text).kind == .stream {
            throw ValidationError("- cannot be inspected: a header is checked against the size")
        }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3, key: key)
        let locations = try locations.map(CopyOptions.location)
        let presentation = Presentation(global)
        try await CommandRun(settings: settings, presentation: presentation).perform { session in
            let showing = StructureShowing(presentation: presentation, tensors: tensors)
            var inspection = Inspection(session: session, showing: showing, recursive: recursive)
            for location in locations { try await inspection.inspect(location) }
            return try inspection.end()
        }
    }
}
