import ArgumentParser
import SluiceBytes

/// Gets a state file that cannot be used out of the way.
struct QueueMoveAside: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "move-aside",
        abstract: "Rename a damaged state file; the next command makes a new one.",
        discussion: """
            Nothing is removed. What was queued in it is queued no more: run the commands again. Refused while a \
            process works with the file.

            EXAMPLES
              sluice queue move-aside
              sluice queue move-aside --state ./state.db
            """
    )

    @OptionGroup(title: "General") var global: GlobalOptions

    func run() async throws {
        let presentation = Presentation(global)
        try await CommandRun(settings: try SessionSettings(global), presentation: presentation).perform { session in
            presentation.say("the state file is now \(Printable.text(try session.moveStateAside()))")
            return .done
        }
    }
}
