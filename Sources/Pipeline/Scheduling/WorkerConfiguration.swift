/// How a worker works.
public struct WorkerConfiguration: Sendable {
    /// Transfers at once.
    public var transfers: Int
    /// Most transfers at once, while they are short.
    public var shortTransfers: Int
    /// Most transfers at once of one host; nil: all of them.
    public var perHost: Int?
    /// Limits of each transfer.
    public var limits: TransferLimits
    /// How often leases are renewed and the user's wishes are read.
    public var heartbeat: Duration
    /// How long parts in flight may take to be saved when the worker stops.
    public var grace: Duration
    /// How many runs a transfer gets before a failure that a retry could help is final.
    public var runs: Int

    /// The defaults: 4 transfers, short ones too, a heartbeat every 5 s, 3 s to stop (looked at once a second), 5 runs.
    public init(
        transfers: Int = 4,
        shortTransfers: Int = 0,
        perHost: Int? = nil,
        limits: TransferLimits = TransferLimits(),
        heartbeat: Duration = .seconds(5),
        grace: Duration = .seconds(3),
        runs: Int = 5
    ) {
        self.transfers = max(1, transfers)
        self.shortTransfers = max(self.transfers, shortTransfers)
        self.perHost = perHost
        self.limits = limits
        self.heartbeat = heartbeat
        self.grace = grace
        self.runs = runs
    }
}

/// How the transfers of a run ended.
public struct WorkerSummary: Sendable {
    /// Ends by state.
    public var states: [TransferState: Int] = [:]
    /// Failures by code.
    public var failures: [SluiceError.Code: Int] = [:]
    /// Which ended, were parked, or were paused or cancelled.
    public var ended = TransferIDs()
    /// Bytes of the objects that are proven at their sinks.
    public var bytes: UInt64 = 0
    /// Bytes fetched.
    public var moved: UInt64 = 0
    /// Whether it was stopped before the queue was empty.
    public var stopped = false

    /// A summary of nothing.
    public init() {}
}
