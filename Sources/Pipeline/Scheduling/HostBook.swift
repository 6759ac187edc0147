import Synchronization

/// What the process knows of each host: everyone who talks to it shares one back-off, so that a server that asked for
/// a pause is not asked again by the next transfer.
public final class HostBook: Sendable {
    private struct Host {
        var failures = 0
        var blockedUntil: Duration = .zero
        /// The end of the pause that it asked for itself.
        var askedUntil: Duration = .zero
        var probing = false
    }

    private struct ConnectionLimit {
        let count: Int
        let until: Duration
    }

    private let hosts = Mutex<[String: Host]>([:])
    /// How many hosts are in trouble: mostly none, and then thousands of short steps need no lock.
    private let troubled = Atomic(0)
    private let connectionLimits = Mutex<[String: ConnectionLimit]>([:])
    private let time: any TimeSource
    private let policy: RetryPolicy
    private let jitter: @Sendable () -> Double

    /// Failures in a row, over all transfers, after which only one request at a time probes the host.
    private static let breaker = 5
    /// How long a host is believed to take no more connections than it did: it may have been a busy hour.
    private static let memory: Duration = .seconds(300)

    /// - Parameter jitter: random numbers in 0..<1.
    public init(time: any TimeSource, policy: RetryPolicy = RetryPolicy(), jitter: @escaping @Sendable () -> Double) {
        self.time = time
        self.policy = policy
        self.jitter = jitter
    }

    /// The longest pause that a host may ask for; a transfer that is asked for a longer one is parked.
    var longestPause: Duration { policy.longestRetryAfter }

    /// Failures in a row that a step bears.
    var patience: Int { max(1, policy.patience) }

    /// Waits until the host may be asked. While it fails on and on, one caller at a time goes ahead as a probe.
    public func admit(_ host: String) async throws {
        while let wait = waitTime(host) { try await time.sleep(for: wait) }
    }

    private var isAnyTroubled: Bool { troubled.load(ordering: .relaxed) > 0 }

    private func waitTime(_ host: String) -> Duration? {
        guard isAnyTroubled else { return nil }
        let now = time.now()
        return hosts.withLock { hosts in
            guard var entry = hosts[host] else { return nil }
            if entry.blockedUntil > now { return entry.blockedUntil - now }
            guard entry.failures >= HostBook.breaker else { return nil }
            if entry.probing { return .milliseconds(200) }
            entry.probing = true
            hosts[host] = entry
            return nil
        }
    }

    /// What is left of the pause that the host asked for; nil if it asked for none.
    func pause(of host: String) -> Duration? {
        guard isAnyTroubled else { return nil }
        let now = time.now()
        return hosts.withLock { hosts in
            hosts[host].flatMap { $0.askedUntil > now ? $0.askedUntil - now : nil }
        }
    }

    /// Those that asked for a pause which is not over.
    var paused: [String] {
        let now = time.now()
        return hosts.withLock { hosts in hosts.filter { $0.value.askedUntil > now }.map(\.key) }
    }

    /// The host answered as it should. A pause that it asked for meanwhile, of somebody else, holds all the same.
    public func succeeded(_ host: String) {
        guard isAnyTroubled else { return }
        let now = time.now()
        hosts.withLock { hosts in
            let isPaused = hosts[host].map { $0.blockedUntil > now } ?? false
            hosts[host] = isPaused ? hosts[host] : nil
            hosts[host]?.failures = 0
            hosts[host]?.probing = false
            troubled.store(hosts.count, ordering: .relaxed)
        }
    }

    /// A caller that was admitted went away without an answer: the next one may probe.
    public func abandoned(_ host: String) {
        hosts.withLock { $0[host]?.probing = false }
    }

    /// How many connections the host takes for one object; nil if it refused none of late.
    func connectionLimit(_ host: String) -> Int? {
        let now = time.now()
        return connectionLimits.withLock { limits in
            guard let limit = limits[host] else { return nil }
            if limit.until <= now { limits[host] = nil }
            return limit.until > now ? limit.count : nil
        }
    }

    /// The host refused a connection of an object while it served `count` others.
    func noteConnectionLimit(_ count: Int, of host: String) {
        let until = time.now() + HostBook.memory
        connectionLimits.withLock { $0[host] = ConnectionLimit(count: max(1, count), until: until) }
    }

    /// A request failed; decides about another try.
    ///
    /// - Parameter failures: of this step, in a row, without progress.
    public func failed(_ host: String, _ error: SluiceError, failures: Int) -> RetryPolicy.Decision {
        let decision = policy.decide(error, failures: failures, jitter: jitter())
        let now = time.now()
        hosts.withLock { hosts in
            var entry = hosts[host] ?? Host()
            entry.probing = false
            switch error.retry {
            case .after(let asked) where asked <= policy.longestRetryAfter:
                entry.failures += 1
                entry.blockedUntil = max(entry.blockedUntil, now + asked)
                entry.askedUntil = max(entry.askedUntil, now + asked)
            case .backoff:
                entry.failures += 1
                if error.code == .throttled, case .wait(let wait) = decision {
                    entry.blockedUntil = max(entry.blockedUntil, now + wait)
                }
            case .never, .park, .restart:
                // An answer that no retry changes is an answer: the host is up.
                entry.failures = 0
            case .immediately, .after: break
            }
            hosts[host] = entry
            troubled.store(hosts.count, ordering: .relaxed)
        }
        return decision
    }
}
