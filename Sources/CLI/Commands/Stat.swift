import ArgumentParser
import SluiceBytes
import SluicePipeline

/// Looks at objects.
struct Stat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stat",
        abstract: "Show size, version, published digests and headers of objects.",
        discussion: """
            EXAMPLES
              sluice stat https://example.org/model.gguf
              sluice stat --json s3://models/llama/config.json
              sluice stat hf://Qwen/Qwen3-0.6B/model.safetensors
            """
    )

    @Argument(help: .init("What to look at.", valueName: "location"))
    var locations: [String]
    @OptionGroup(title: "HTTP") var http: HTTPOptions
    @OptionGroup(title: "S3") var s3: S3Options
    @OptionGroup(title: "S3") var key: S3KeyOptions
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        for text in locations where try CopyOptions.location(text).kind == .stream {
            throw ValidationError("- can be read, but not looked at")
        }
    }

    func run() async throws {
        let settings = try SessionSettings(global, http: http, s3: s3, key: key)
        let locations = try locations.map(CopyOptions.location)
        let run = CommandRun(settings: settings, presentation: Presentation(global))
        try await run.perform { session in
            var failures: [SluiceError.Code] = []
            for location in locations {
                do {
                    if case .s3(_, let key) = location.kind, key.bytes.isEmpty { throw Stat.isPrefix(location) }
                    let object = try session.source(location).object(ObjectKey(bytes: []))
                    let opened = try await session.retrying.run(host: object.host, object: "\(location)") {
                        try await object.open(prefetch: 0, options: ReadOptions(pool: session.pool))
                    }
                    opened.stream?.cancel()
                    try Output.standard.write(
                        global.json
                            ? Stat.object(opened.info, at: location).text + "\n" : Stat.text(opened.info, location)
                    )
                } catch let error as SluiceError {
                    let told = await Stat.explained(error, location, session)
                    run.presentation.report(told.about("\(location)"))
                    failures.append(told.code)
                }
            }
            return .of(failures: failures)
        }
    }

    /// What is not there as an object may be a prefix with objects below it.
    private static func explained(
        _ error: SluiceError,
        _ location: Location,
        _ session: any CommandSession
    ) async -> SluiceError {
        guard error.code == .notFound || location.namesContainer, case .s3 = location.kind,
            let isObject = try? await session.source(location).isSingleObject(), !isObject
        else { return error }
        return isPrefix(location)
    }

    private static func isPrefix(_ location: Location) -> SluiceError {
        SluiceError(
            .notFound,
            object: "\(location)",
            "there is no such object: it is a prefix",
            remedy: "sluice ls \(location) shows what is below it"
        )
    }

    static func text(_ info: ObjectInfo, _ location: Location) -> String {
        var lines: [(String, String)] = []
        lines.append(("size", info.size.map { "\($0) bytes (\(ByteCount($0)))" } ?? "unknown"))
        lines.append(("version", "\(info.pin)" + (info.pin.isStrong ? "" : " (weak)")))
        if let modified = info.modified { lines.append(("modified", DateText.utc(modified))) }
        lines.append(("ranges", info.supportsRanges ? "yes" : "no"))
        lines += info.published.map { ("digest", "\($0)") }
        lines += info.contentHeaders.sorted { $0.key < $1.key }.map { ($0.key, Printable.text($0.value)) }
        lines += info.metadata.sorted { $0.key < $1.key }.map {
            ("meta " + Printable.text($0.key), Printable.text($0.value))
        }
        return "\(location)\n" + lines.map { "  \(Columns.padded($0.0, to: 20)) \($0.1)\n" }.joined()
    }

    static func object(_ info: ObjectInfo, at location: Location) -> JSONObject {
        var object = JSONObject()
        object.add("location", "\(location)")
        object.add("size", info.size)
        object.add("version", "\(info.pin)")
        object.add("strong", info.pin.isStrong)
        object.add("modified", info.modified.map { DateText.utc($0) })
        object.add("ranges", info.supportsRanges)
        object.add("digests", JSONObject(info.published.map { ($0.algorithm.rawValue, $0.hex) }))
        object.add("headers", JSONObject(info.contentHeaders.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
        object.add("metadata", JSONObject(info.metadata.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }))
        return object
    }
}
