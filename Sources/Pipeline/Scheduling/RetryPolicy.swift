/// When a failed step is tried again. One table for sources, sinks and state: the error says its kind, this says when.
public struct RetryPolicy: Sendable {
    /// Failures in a row without a byte of progress after which a step is given up.
    public var patience: Int
    /// The same for failures that seldom pass by waiting (`SluiceError.seldomPasses`).
    public var shortPatience: Int
    /// The first back-off.
    public var base: Duration
    /// The longest back-off of our own.
    public var cap: Duration
    /// The longest wait that a server may ask for before the transfer is parked instead.
    public var longestRetryAfter: Duration

    /// The defaults: 10 failures without progress (3 that seldom pass), 0.5 s doubling to 60 s, full jitter, an hour
    /// of Retry-After.
    public init(
        patience: Int = 10,
        shortPatience: Int = 3,
        base: Duration = .milliseconds(500),
        cap: Duration = .seconds(60),
        longestRetryAfter: Duration = .seconds(3600)
    ) {
        self.patience = patience
        self.shortPatience = min(patience, shortPatience)
        self.base = base
        self.cap = cap
        self.longestRetryAfter = longestRetryAfter
    }

    /// What to do about a failure.
    public enum Decision: Hashable, Sendable {
        /// Try again after the wait.
        case wait(Duration)
        /// Report it.
        case giveUp
    }

    /// - Parameters:
    ///   - failures: how many in a row without progress, this one included.
    ///   - jitter: a random number in 0..<1 (full jitter: AWS Architecture Blog, "Exponential Backoff And Jitter").
    public func decide(_ error: SluiceError, failures: Int, jitter: Double) -> Decision {
        decide(error.retry, failures, error.seldomPasses ? shortPatience : patience, jitter)
    }

    private func decide(_ retry: SluiceError.Retry, _ failures: Int, _ patience: Int, _ jitter: Double) -> Decision {
        switch retry {
        case .never, .park, .restart:
            return .giveUp
        case .immediately:
            return failures <= 1 ? .wait(.zero) : decide(.backoff, failures, patience, jitter)
        case .after(let asked):
            guard asked <= longestRetryAfter, failures < patience else { return .giveUp }
            return .wait(max(asked, backoff(failures, jitter)))
        case .backoff:
            return failures < patience ? .wait(backoff(failures, jitter)) : .giveUp
        }
    }

    private func backoff(_ failures: Int, _ jitter: Double) -> Duration {
        let ceiling = min(cap, base * (1 << min(20, max(0, failures - 1))))
        return ceiling * min(1, max(0, jitter))
    }
}
