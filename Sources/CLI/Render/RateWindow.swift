import SluiceBytes

/// Bytes per second over the last ten seconds.
struct RateWindow: Sendable {
    private static let span = Duration.seconds(10)
    /// Samples closer together than this are merged: at most some forty are kept.
    private static let grain = Duration.milliseconds(250)

    private var samples: [(at: Duration, total: UInt64)] = []
    private var total: UInt64 = 0

    /// A window that opens at `now`.
    init(at now: Duration) {
        samples = [(now, 0)]
    }

    /// Books bytes that moved.
    mutating func add(_ bytes: UInt64, at now: Duration) {
        total &+= bytes
        if samples.count > 1, let last = samples.last, now - last.at < RateWindow.grain {
            samples[samples.count - 1].total = total
        } else {
            samples.append((now, total))
        }
        // The newest sample outside the window stays: it is where the window begins.
        while samples.count > 2, now - samples[1].at >= RateWindow.span { samples.removeFirst() }
    }

    /// Nil before there is enough to tell. It falls when nothing moves, since time goes on.
    func rate(at now: Duration) -> Double? {
        let start = now - RateWindow.span
        let base = samples.last { $0.at <= start } ?? samples[0]
        let elapsed = now - max(base.at, start)
        let seconds = Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
        guard seconds >= 0.5 else { return nil }
        return Double(total - base.total) / seconds
    }
}
