import Glibc

/// The time since boot that no clock change touches (clock_gettime(2), `CLOCK_MONOTONIC`).
enum MonotonicClock {
    @Sendable static func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
