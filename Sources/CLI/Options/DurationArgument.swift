import ArgumentParser

/// A length of time: `90s`, `30m`, `24h`, `7d`.
struct DurationArgument: Hashable, Sendable, ExpressibleByArgument, CustomStringConvertible {
    var seconds: Int64

    init?(argument: String) {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = argument.last.flatMap({ units[$0] }), let count = Int64(argument.dropLast()), count >= 0 else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: unit)
        if overflow { return nil }
        seconds = product
    }

    init(hours: Int64) { seconds = hours * 3600 }

    var duration: Duration { .seconds(seconds) }

    var description: String { seconds % 3600 == 0 ? "\(seconds / 3600)h" : "\(seconds)s" }
}
