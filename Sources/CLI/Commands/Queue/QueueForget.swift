import ArgumentParser
import SluicePipeline

/// Remove ended transfers from the queue.
struct QueueForget: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Remove ended transfers from the queue; what they stored stays.",
        discussion: """
            Done, skipped, failed and cancelled ones; others are left alone. Where no digest is recorded, a later cp \
            of a forgotten object reads it again instead of knowing that neither side changed, and cleanup knows no \
            more whose a lost upload was: run it before.

            EXAMPLES
              sluice queue forget -n --all
              sluice queue forget --job 3
              sluice queue forget 12 13
            """
    )

    @OptionGroup var targets: QueueTargets
    @Flag(name: [.customShort("n"), .customLong("dry-run")], help: "Say how many it would be; remove none.")
    var dryRun = false
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let dryRun = dryRun
        try await targets.change(dryRun ? "to be forgotten" : "forgotten", global) { queue, selection in
            try await queue.forget(selection, isDryRun: dryRun)
        }
    }
}
