import Glibc

/// Time as a parameter (DESIGN rule 11): everything that waits takes one of these, and is tested with a manual one.
public protocol TimeSource: Sendable {
    /// Monotonic time since an arbitrary start; it does not jump with the wall clock.
    func now() -> Duration

    /// Seconds since 1970 by the wall clock, for dates that people and servers see; never for intervals.
    func wallSeconds() -> Int64

    /// The same in milliseconds, where the clock tells them: additions of several processes keep their order by it.
    func wallMilliseconds() -> Int64

    /// Returns when `duration` has passed, or throws `CancellationError`.
    func sleep(for duration: Duration) async throws
}

extension TimeSource {
    /// Whole seconds.
    public func wallMilliseconds() -> Int64 { wallSeconds() * 1_000 }
}

/// The machine's own clocks.
public struct SystemTime: TimeSource {
    private let start = ContinuousClock.now

    /// A time source that starts at zero now.
    public init() {}

    /// Since this value was made.
    public func now() -> Duration { start.duration(to: .now) }

    /// From `time(2)`.
    public func wallSeconds() -> Int64 { Int64(time(nil)) }

    /// CLOCK_REALTIME (clock_gettime(2)).
    public func wallMilliseconds() -> Int64 {
        var reading = timespec()
        clock_gettime(CLOCK_REALTIME, &reading)
        return Int64(reading.tv_sec) * 1_000 + Int64(reading.tv_nsec) / 1_000_000
    }

    /// Sleeps for real.
    public func sleep(for duration: Duration) async throws {
        guard duration > .zero else { return try Task.checkCancellation() }
        // Task.sleep traps on what does not fit its nanoseconds.
        try await Task.sleep(for: min(duration, .seconds(1 << 31)))
    }
}
