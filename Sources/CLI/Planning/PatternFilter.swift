import SluiceBytes

/// Which keys a recursive command takes: `--include` and `--exclude` in command-line order.
///
/// A pattern is matched with the key relative to the source. The first rule that matches decides. A key that no rule
/// matches is taken, unless there is an include rule: then only what was included is wanted.
struct PatternFilter: Sendable, Hashable {
    struct Rule: Sendable, Hashable {
        var includes: Bool
        var pattern: KeyPattern
    }

    var rules: [Rule] = []

    func accepts(_ key: ObjectKey) -> Bool {
        for rule in rules where rule.pattern.matches(key) { return rule.includes }
        return !rules.contains(where: \.includes)
    }
}

/// A glob over the bytes of a key.
///
/// `*` and `?` do not cross `/`, `**` does, `[a-z]` and `[!a-z]` name one character, `{a,b}` alternatives, `\` takes
/// the next character as it is. A leading `/` anchors the pattern at the start; without it the pattern may begin after
/// any `/`. A trailing `/` means everything below.
struct KeyPattern: Sendable, Hashable {
    private enum Token: Sendable, Hashable {
        case scalar(UInt32)
        case anyOne
        case anyRun
        case anyDeep
        case set([ClosedRange<UInt32>], negated: Bool)
    }

    /// Why a text is no pattern.
    struct Refusal: Error, Hashable, CustomStringConvertible {
        let description: String
    }

    /// As it was written.
    let text: String
    /// The alternatives of `{a,b}`, multiplied out. A bound keeps `{a,b}{a,b}…` from growing without end.
    private let alternatives: [[Token]]
    private static let mostAlternatives = 256

    init(_ text: String) throws(Refusal) {
        guard !text.isEmpty else { throw Refusal(description: "an empty pattern") }
        self.text = text
        var scalars = text.unicodeScalars.map(\.value)
        let anchored = scalars.first == slash
        if anchored { scalars.removeFirst() }
        if scalars.last == slash { scalars += [star, star] }
        alternatives = try KeyPattern.expanded(scalars).map { alternative throws(Refusal) in
            let tokens = try KeyPattern.tokens(alternative)
            return anchored ? tokens : [.anyDeep, .scalar(slash)] + tokens
        }
    }

    /// Simulates all alternatives at once, state by state: linear in pattern times key, so that no pattern hangs.
    func matches(_ key: ObjectKey) -> Bool {
        // The slash in front lets an unanchored pattern begin at the first component as after any other `/`.
        let scalars = key.text.unicodeScalars.map(\.value)
        return alternatives.contains { tokens in
            let anchored = tokens.count < 2 || tokens[0] != .anyDeep || tokens[1] != .scalar(slash)
            return KeyPattern.run(tokens, over: anchored ? scalars : [slash] + scalars)
        }
    }

    private static func run(_ tokens: [Token], over scalars: [UInt32]) -> Bool {
        var states = [Bool](repeating: false, count: tokens.count + 1)
        states[0] = true
        skipEmptyRuns(tokens, &states)
        for scalar in scalars {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            for (index, token) in tokens.enumerated() where states[index] {
                switch token {
                case .scalar(let wanted): if scalar == wanted { next[index + 1] = true }
                case .anyOne: if scalar != slash { next[index + 1] = true }
                case .anyRun: if scalar != slash { next[index] = true }
                case .anyDeep: next[index] = true
                case .set(let ranges, let negated):
                    let inside = ranges.contains { $0.contains(scalar) }
                    if scalar != slash, inside != negated { next[index + 1] = true }
                }
            }
            skipEmptyRuns(tokens, &next)
            states = next
        }
        return states[tokens.count]
    }

    /// `*` and `**` match nothing too.
    private static func skipEmptyRuns(_ tokens: [Token], _ states: inout [Bool]) {
        for (index, token) in tokens.enumerated() where states[index] && (token == .anyRun || token == .anyDeep) {
            states[index + 1] = true
        }
    }
}

// MARK: - Parsing

extension KeyPattern {
    private static func tokens(_ scalars: [UInt32]) throws(Refusal) -> [Token] {
        var tokens: [Token] = []
        var index = 0
        while index < scalars.count {
            let scalar = scalars[index]
            index += 1
            switch scalar {
            case star:
                let isDeep = index < scalars.count && scalars[index] == star
                while index < scalars.count, scalars[index] == star { index += 1 }
                tokens.append(isDeep ? .anyDeep : .anyRun)
            case 0x3F: tokens.append(.anyOne)
            case openBracket: tokens.append(try set(scalars, &index))
            case backslash:
                guard index < scalars.count else { throw Refusal(description: "a pattern that ends in a backslash") }
                tokens.append(.scalar(scalars[index]))
                index += 1
            default: tokens.append(.scalar(scalar))
            }
        }
        return tokens
    }

    private static func set(_ scalars: [UInt32], _ index: inout Int) throws(Refusal) -> Token {
        let negated = index < scalars.count && (scalars[index] == 0x21 || scalars[index] == 0x5E)
        if negated { index += 1 }
        var ranges: [ClosedRange<UInt32>] = []
        var first = true
        while index < scalars.count, scalars[index] != closeBracket || first {
            first = false
            let low = scalars[index]
            index += 1
            guard index + 1 < scalars.count, scalars[index] == 0x2D, scalars[index + 1] != closeBracket else {
                ranges.append(low...low)
                continue
            }
            let high = scalars[index + 1]
            guard low <= high else { throw Refusal(description: "a range in […] runs backwards") }
            ranges.append(low...high)
            index += 2
        }
        guard index < scalars.count else { throw Refusal(description: "a [ without its ]") }
        index += 1
        return .set(ranges, negated: negated)
    }

    /// Multiplies out the first `{…}` and goes on with each result.
    private static func expanded(_ scalars: [UInt32]) throws(Refusal) -> [[UInt32]] {
        var pending = [scalars]
        var finished: [[UInt32]] = []
        while let pattern = pending.popLast() {
            guard let braces = try firstBraces(pattern) else {
                finished.append(pattern)
                continue
            }
            for choice in braces.choices {
                pending.append(Array(pattern[..<braces.open]) + choice + Array(pattern[braces.end...]))
            }
            guard pending.count + finished.count <= mostAlternatives else {
                throw Refusal(description: "a pattern with more than \(mostAlternatives) alternatives")
            }
        }
        return finished
    }

    private static func firstBraces(
        _ scalars: [UInt32]
    ) throws(Refusal) -> (open: Int, end: Int, choices: [[UInt32]])? {
        var open: Int?
        var depth = 0
        var choices: [[UInt32]] = [[]]
        var index = 0
        while index < scalars.count {
            let scalar = scalars[index]
            let isEscape = scalar == backslash && index + 1 < scalars.count
            if let start = open {
                if scalar == closeBrace, depth == 0 { return (start, index + 1, choices) }
                if scalar == 0x2C, depth == 0 {
                    choices.append([])
                } else {
                    choices[choices.count - 1] += isEscape ? [scalar, scalars[index + 1]] : [scalar]
                }
                if scalar == openBrace { depth += 1 }
                if scalar == closeBrace { depth -= 1 }
            } else if scalar == openBrace {
                open = index
            }
            index += isEscape ? 2 : 1
        }
        guard open == nil else { throw Refusal(description: "a { without its }") }
        return nil
    }
}

private let slash: UInt32 = 0x2F
private let star: UInt32 = 0x2A
private let backslash: UInt32 = 0x5C
private let openBracket: UInt32 = 0x5B
private let closeBracket: UInt32 = 0x5D
private let openBrace: UInt32 = 0x7B
private let closeBrace: UInt32 = 0x7D
