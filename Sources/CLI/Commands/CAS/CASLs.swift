import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Lists trees.
struct CASLs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List the trees of a store.",
        discussion: """
            EXAMPLES
              sluice cas ls /mnt/nas/models
              sluice cas ls -l --json /mnt/nas/models
            """
    )

    @Flag(name: .shortAndLong, help: "The number of files and their bytes too; reads every manifest.")
    var long = false
    @OptionGroup var store: StoreArgument
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let path = try store.path()
        let long = long
        try await run.inStore { session in
            let store = try session.share(path).store
            for name in try store.revisions() {
                let tree = long ? try store.tree(name) : nil
                if long, tree == nil { continue }
                var object = JSONObject()
                object.add("event", "tree")
                object.add("kind", name.kind)
                object.add("name", name.name)
                object.add("revision", name.revision)
                object.add("location", "cas:\(path)/\(name)")
                object.add("files", tree?.files.count)
                object.add("bytes", tree?.size.bytes)
                let sizes = tree.map {
                    Columns.padded("\($0.files.count)", to: 9, right: true) + " files  "
                        + Columns.padded("\($0.size)", to: 10, right: true) + "  "
                }
                try run.presentation.line((sizes ?? "") + name.description, object)
            }
            return .done
        }
    }
}
