import ArgumentParser
import Synchronization

/// A pattern with its place on the command line, which two options share.
struct OrderedPattern: Sendable {
    let order: Int
    let pattern: KeyPattern

    private static let next = Mutex(0)

    /// ArgumentParser calls transforms in command-line order, across options.
    init(_ text: String) throws {
        do {
            pattern = try KeyPattern(text)
        } catch {
            throw ValidationError(error.description)
        }
        order = OrderedPattern.next.withLock { next in
            next += 1
            return next
        }
    }
}

/// Which objects of a directory or a prefix are taken.
struct FilterOptions: ParsableArguments {
    @Flag(name: .shortAndLong, help: "Everything below a directory or a prefix.")
    var recursive = false

    @Option(
        help: .init(
            "With -r: only keys that match; repeatable.",
            discussion: """
                Patterns match the key relative to the source. The first rule that matches, in command-line order, \
                decides; * and ? stop at /, ** does not; a leading / anchors.
                """,
            valueName: "pattern"
        ),
        transform: OrderedPattern.init
    )
    var include: [OrderedPattern] = []

    @Option(
        help: .init("With -r: no keys that match; repeatable.", valueName: "pattern"),
        transform: OrderedPattern.init
    )
    var exclude: [OrderedPattern] = []

    func validate() throws {
        if !recursive, !include.isEmpty || !exclude.isEmpty {
            throw ValidationError("--include and --exclude choose among the objects of a recursive command: add -r")
        }
    }

    var filter: PatternFilter {
        let rules =
            include.map { ($0.order, PatternFilter.Rule(includes: true, pattern: $0.pattern)) }
            + exclude.map { ($0.order, PatternFilter.Rule(includes: false, pattern: $0.pattern)) }
        return PatternFilter(rules: rules.sorted { $0.0 < $1.0 }.map(\.1))
    }
}
