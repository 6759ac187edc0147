import ArgumentParser

/// Queue failed, parked and cancelled transfers again.
struct QueueRetry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Queue failed, parked and cancelled transfers again.",
        discussion: """
            EXAMPLES
              sluice queue retry 12 13
              sluice queue retry --job 3
            """
    )

    @OptionGroup var targets: QueueTargets
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws { try await targets.apply(.retry, "queued again", global) }
}
