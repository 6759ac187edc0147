import ArgumentParser

/// Options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Print nothing but errors.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Print more; -vv prints most.")
    var verbose: Int

    @Flag(help: "Print one JSON object a line on standard output.")
    var json = false

    @Flag(name: .customLong("no-progress"), help: "Print plain lines on a terminal too.")
    var noProgress = false

    @Option(help: .init("The state file.", discussion: "Default: $XDG_STATE_HOME/sluice/state.db", valueName: "file"))
    var state: String?

    func validate() throws {
        if quiet, verbose > 0 { throw ValidationError("-q and -v contradict each other") }
        if let state, state.isEmpty { throw ValidationError("--state takes the path of a file") }
    }
}
