/// Splits a command line into words as a POSIX shell would, without being one: no expansion, no pipes.
package enum CommandLineTokens {
    package enum Failure: Error, Sendable {
        case unfinishedQuote
        case unfinishedEscape
    }

    /// The words of `text`: single quotes keep all, double quotes know `\"` and `\\`, a backslash keeps what follows.
    package static func split(_ text: String) throws(Failure) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var characters = text.makeIterator()
        while let character = characters.next() {
            switch (quote, character) {
            case (nil, "'"), (nil, "\""):
                quote = character
                word = word ?? ""
            case ("'", "'"), ("\"", "\""): quote = nil
            case (nil, "\\"):
                guard let next = characters.next() else { throw .unfinishedEscape }
                word = (word ?? "") + String(next)
            case ("\"", "\\"):
                guard let next = characters.next() else { throw .unfinishedEscape }
                word = (word ?? "") + (next == "\"" || next == "\\" ? String(next) : "\\" + String(next))
            case (nil, _) where character.isWhitespace:
                if let finished = word { words.append(finished) }
                word = nil
            default: word = (word ?? "") + String(character)
            }
        }
        if quote != nil { throw .unfinishedQuote }
        if let word { words.append(word) }
        return words
    }
}
