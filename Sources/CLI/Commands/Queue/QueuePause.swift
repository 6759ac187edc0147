import ArgumentParser

/// Hold transfers; what they moved is kept.
struct QueuePause: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause",
        abstract: "Hold transfers; what they moved is kept.",
        discussion: """
            EXAMPLES
              sluice queue pause 12 13
              sluice queue pause --job 3
            """
    )

    @OptionGroup var targets: QueueTargets
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws { try await targets.apply(.pause, "paused", global) }
}
