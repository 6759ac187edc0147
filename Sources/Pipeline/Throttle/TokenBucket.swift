/// A token bucket as a pure state machine: a booking is always granted, and told how long it must wait.
///
/// Debt is allowed, so that bookings are served in their order and the rate holds exactly over any window longer
/// than the burst: granting late rather than refusing lets the socket's thread pause once, for the right time.
public struct TokenBucket: Sendable {
    /// Bytes per second; nil: unlimited.
    public private(set) var rate: UInt64?
    private var burst: Double = 0
    private var balance: Double = 0
    private var updated: Duration

    /// A full bucket at the time `now`.
    public init(rate: UInt64?, now: Duration) {
        updated = now
        self.rate = nil
        setRate(rate, now: now)
    }

    /// Changes the rate; debt stays, and is paid at the new rate.
    public mutating func setRate(_ rate: UInt64?, now: Duration) {
        refill(now)
        self.rate = rate
        // A burst of 100 ms is 1 % of a window of 10 s. It covers the slack of timers on a busy machine, and the pause
        // of a single stream between one part and the next.
        burst = max(16_384, Double(rate ?? 0) / 10)
        balance = min(balance, burst)
    }

    /// Books `count` bytes; the caller passes them after the returned wait.
    public mutating func book(_ count: Int, now: Duration) -> Duration {
        refill(now)
        guard let rate, rate > 0 else { return .zero }
        balance -= Double(count)
        return balance >= 0 ? .zero : .seconds(-balance / Double(rate))
    }

    private mutating func refill(_ now: Duration) {
        defer { updated = now }
        guard let rate, now > updated else { return }
        balance = min(burst, balance + (now - updated) / .seconds(1) * Double(rate))
    }
}
