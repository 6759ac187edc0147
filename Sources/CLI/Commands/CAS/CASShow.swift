import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Shows what a tree holds.
struct CASShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show the files of a tree: digest, size, where each came from.",
        discussion: """
            EXAMPLES
              sluice cas show cas:/mnt/nas/models/llama
              sluice cas show --json cas:/mnt/nas/models/llama@v2 | jq .sha256
            """
    )

    @OptionGroup var trees: TreeArguments
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let trees = trees
        try await run.inStore { session in
            for place in try trees.places(session) {
                guard let tree = try place.share.store.wholeTree(place.name) else {
                    throw TreeArguments.missing(place)
                }
                let below = place.path.appending(ObjectKey("/"))
                for file in tree.files
                where place.path.bytes.isEmpty || file.path == place.path || file.path.hasPrefix(below) {
                    try run.presentation.line(CASShow.line(file), CASShow.object(file, of: tree.name))
                }
            }
            return .done
        }
    }

    private static func line(_ file: Manifest.File) -> String {
        let size = Columns.padded("\(file.size.bytes)", to: 15, right: true)
        let sources = file.sources.isEmpty ? "" : "  from " + file.sources.joined(separator: ", ")
        return "\(file.digest.hex)  \(size)  \(file.path)\(sources)"
    }

    private static func object(_ file: Manifest.File, of tree: RevisionName) -> JSONObject {
        var object = JSONObject()
        object.add("event", "file")
        object.add("tree", tree.description)
        object.add("path", file.path.text)
        object.add("size", file.size.bytes)
        object.add("sha256", file.digest.hex)
        object.add("alternates", file.alternates.map { JSONObject([("kind", $0.kind), ("value", $0.value)]) })
        object.add("sources", file.sources)
        return object
    }
}
