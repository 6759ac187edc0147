import ArgumentParser

/// End transfers; cleanup removes what they left.
struct QueueCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "End transfers; cleanup removes what they left.",
        discussion: """
            EXAMPLES
              sluice queue cancel 12 13
              sluice queue cancel --job 3
            """
    )

    @OptionGroup var targets: QueueTargets
    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws { try await targets.apply(.cancel, "cancelled", global) }
}
