import ArgumentParser

/// Let paused and parked transfers go on.
struct QueueResume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume",
        abstract: "Let paused and parked transfers go on.",
        discussion: """
            EXAMPLES
              sluice queue resume 12 13
              sluice queue resume --job 3
            """
    )

    @OptionGroup var targets: QueueTargets
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws { try await targets.apply(.resume, "resumed", global) }
}
