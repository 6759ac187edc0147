import ArgumentParser
import SluiceBytes

/// `--bwlimit`: bytes per second for each direction, in rclone's syntax.
struct BandwidthLimit: Hashable, Sendable, Codable, ExpressibleByArgument, CustomStringConvertible {
    /// Bytes per second that leave; nil: no limit.
    var up: UInt64?
    /// Bytes per second that arrive; nil: no limit.
    var down: UInt64?

    static let off = BandwidthLimit(up: nil, down: nil)

    init(up: UInt64?, down: UInt64?) {
        self.up = up
        self.down = down
    }

    /// `10M` for each direction, `UP:DOWN`, `off` or `0` for none. A bare number counts KiB/s, as rclone does.
    init?(argument: String) {
        let sides = argument.split(separator: ":", omittingEmptySubsequences: false)
        guard (1...2).contains(sides.count), let first = BandwidthLimit.rate(sides[0]) else { return nil }
        guard sides.count == 2 else {
            self.init(up: first, down: first)
            return
        }
        guard let second = BandwidthLimit.rate(sides[1]) else { return nil }
        self.init(up: first, down: second)
    }

    /// `.some(nil)` is "no limit", nil is "not a rate".
    private static func rate(_ text: Substring) -> UInt64?? {
        if text == "off" { return .some(nil) }
        let isBare = text.utf8.last.map { (48...57).contains($0) } ?? false
        guard let count = ByteCount(parsing: isBare ? text + "K" : String(text)) else { return nil }
        return .some(count.bytes == 0 ? nil : count.bytes)
    }

    /// The text that parses to this limit: what the state store keeps for running workers.
    var argument: String {
        func side(_ rate: UInt64?) -> String { rate.map { "\($0)B" } ?? "off" }
        return "\(side(up)):\(side(down))"
    }

    var description: String {
        func side(_ rate: UInt64?) -> String { rate.map { "\(ByteCount($0))/s" } ?? "off" }
        return up == down ? side(up) : "up \(side(up)), down \(side(down))"
    }
}
