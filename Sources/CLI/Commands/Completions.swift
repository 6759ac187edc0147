import ArgumentParser

/// Prints a shell's completion script.
struct Completions: ParsableCommand {
    enum Shell: String, CaseIterable, ExpressibleByArgument {
        case bash
        case zsh
        case fish
    }

    static let configuration = CommandConfiguration(
        commandName: "completions",
        abstract: "Print the completion script for a shell.",
        discussion: """
            EXAMPLES
              sluice completions bash > ~/.local/share/bash-completion/completions/sluice
              sluice completions zsh > ~/.zfunc/_sluice
              sluice completions fish > ~/.config/fish/completions/sluice.fish
            """
    )

    @Argument(help: "bash, zsh or fish.")
    var shell: Shell

    func run() throws {
        let shells: [Shell: CompletionShell] = [.bash: .bash, .zsh: .zsh, .fish: .fish]
        guard let name = shells[shell] else { preconditionFailure("every shell of the enumeration has a script") }
        try Output.standard.line(Sluice.completionScript(for: name))
    }
}
