import SluiceBytes

/// A share of the whole, four columns wide. Rounded down, and never 100 before the end is proven.
enum Percent {
    static func text(done: UInt64, of size: UInt64, finished: Bool) -> String {
        Columns.padded("\(value(done: done, of: size, finished: finished))%", to: 4, right: true)
    }

    static func value(done: UInt64, of size: UInt64, finished: Bool) -> Int {
        if finished { return 100 }
        guard size > 0 else { return 0 }
        return min(99, Int(Double(min(done, size)) / Double(size) * 100))
    }
}

/// Times to go: `0:07`, `12:30`, `3:05:00`, `4d 2h`.
enum ClockText {
    static func text(_ duration: Duration) -> String {
        let seconds = max(0, duration.components.seconds)
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
        if hours >= 100 { return "\(hours / 24)d \(hours % 24)h" }
        return hours > 0 ? "\(hours):\(two(minutes)):\(two(seconds % 60))" : "\(minutes):\(two(seconds % 60))"
    }

    /// Times taken, for sentences: `0.9 s`, `34 s`, `12m 30s`, `3h 05m`.
    static func spoken(_ duration: Duration) -> String {
        let hundredths = max(1, Int64((duration / .milliseconds(10)).rounded()))
        if hundredths < 10 { return "0.0\(hundredths) s" }
        let tenths = max(0, Int64((duration / .milliseconds(100)).rounded()))
        if tenths < 100 { return "\(tenths / 10).\(tenths % 10) s" }
        let seconds = max(0, Int64((duration / .seconds(1)).rounded()))
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60)m \(two(seconds % 60))s" }
        return "\(seconds / 3600)h \(two(seconds / 60 % 60))m"
    }

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
