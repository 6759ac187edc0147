import ArgumentParser

/// A command line that names no command there is. ArgumentParser takes the word for an argument too many.
struct UnknownCommand {
    let name: String
    /// The command that was most likely meant.
    let suggestion: String?
    let group: String

    /// Nil if the line names a command, or begins with an option.
    init?(_ arguments: [String]) {
        guard let first = arguments.first, !first.hasPrefix("-") else { return nil }
        let commands = UnknownCommand.names(Sluice.self) + ["help"]
        if !commands.contains(first) {
            self.init(first, among: commands, of: "sluice")
            return
        }
        let steps = UnknownCommand.names(Queue.self)
        guard first == Queue._commandName, let second = arguments.dropFirst().first, !second.hasPrefix("-"),
            !steps.contains(second)
        else { return nil }
        self.init(second, among: steps, of: "sluice \(first)")
    }

    private init(_ name: String, among commands: [String], of group: String) {
        self.name = name
        self.group = group
        let ranked = commands.map { (distance: UnknownCommand.distance(name, $0), name: $0) }
        // Half of the word right is a misspelling; less is another word.
        suggestion = ranked.filter { $0.distance * 2 <= max(2, name.count) }.min { $0.distance < $1.distance }?.name
    }

    var error: ValidationError {
        let hint = suggestion.map { "Did you mean '\($0)'?" } ?? "See '\(group) --help' for the commands there are."
        return ValidationError("\(group) has no command '\(name)'. \(hint)")
    }

    private static func names(_ command: any ParsableCommand.Type) -> [String] {
        command.configuration.subcommands.map { $0._commandName }
    }

    /// Insertions, removals, replacements and swaps of neighbours that make the one word the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left), Array(right))
        var rows = [Array(0...right.count)]
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                let change = rows[i][j] + (left[i] == right[j] ? 0 : 1)
                var best = min(change, rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    best = min(best, rows[i - 1][j - 1] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
