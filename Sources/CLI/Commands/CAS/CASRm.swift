import ArgumentParser
import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// Removes trees.
struct CASRm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm",
        abstract: "Remove trees; their blobs go when cas gc finds that nobody else needs them.",
        discussion: """
            Files of a tree are removed by sluice rm.

            EXAMPLES
              sluice cas rm -n cas:/mnt/nas/models/llama@v1
              sluice cas rm cas:/mnt/nas/models/llama@v1
            """
    )

    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Show what would be removed; remove nothing.")
    var dryRun = false
    @OptionGroup var trees: TreeArguments
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let run = try CommandRun(settings: SessionSettings(global), presentation: Presentation(global))
        let (trees, dryRun) = (trees, dryRun)
        try await run.inStore { session in
            var failures: [SluiceError.Code] = []
            for place in try trees.places(session) {
                let store = place.share.store
                do {
                    let remedy = "sluice rm removes files of a tree, sluice cas rm whole trees"
                    _ = try TreeArguments.whole(place, remedy: remedy)
                    let isThere = dryRun ? try store.has(place.name) : try store.remove(place.name)
                    guard isThere else { throw TreeArguments.missing(place) }
                    try run.presentation.removed("cas:\(store.path)/\(place.name)", dryRun: dryRun)
                } catch let error as SluiceError {
                    run.presentation.report(error.about("\(place.name)"))
                    failures.append(error.code)
                }
            }
            return .of(failures: failures)
        }
    }
}
