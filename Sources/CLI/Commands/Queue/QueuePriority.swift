import ArgumentParser

/// Changes the order of the queue.
struct QueuePriority: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "priority",
        abstract: "Set the priority of transfers; higher runs earlier.",
        discussion: """
            EXAMPLES
              sluice queue priority 100 12 13
              sluice queue priority --job 3 -- -10
            """
    )

    @Argument(help: .init("The new priority, -1000 to 1000.", valueName: "n"))
    var priority: Int
    @OptionGroup var targets: QueueTargets
    @OptionGroup(title: "General") var global: GlobalOptions

    func validate() throws {
        if !(-1000...1000).contains(priority) { throw ValidationError("a priority is -1000 to 1000") }
    }

    func run() async throws { try await targets.apply(.priority(priority), "set to priority \(priority)", global) }
}
