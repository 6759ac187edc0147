import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Lists the blobs of trees, for other tools.
struct CASExportList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export-list",
        abstract: "List the blobs that trees need, as paths below the store, for rsync, tar and the like.",
        discussion: """
            One line for each blob, each once. The manifests are named too: what rsync -a --files-from=LIST copies is a \
            store once cas init has made the empty directories beside it.

            EXAMPLES
              sluice cas export-list cas:/mnt/nas/models/llama > list
            """
    )

    @OptionGroup var trees: TreeArguments
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let trees = trees
        try await run.inStore { session in
            var told: Set<String> = []
            for place in try trees.places(session) {
                _ = try TreeArguments.whole(place, remedy: "name the tree: its manifests are of all of it")
                for path in try place.share.store.exportList(place.name) where told.insert(path).inserted {
                    var object = JSONObject()
                    object.add("event", "path")
                    object.add("path", path)
                    try run.presentation.line(path, object)
                }
            }
            return .done
        }
    }
}
