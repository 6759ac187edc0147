import SluiceBytes

/// What all transfers of a process share.
public struct PipelineResources: Sendable {
    /// Buffers.
    public let pool: BufferPool
    /// Admission of buffers.
    public private(set) var budget: MemoryBudget
    /// Limits of the rate.
    public let throttle: Throttle
    /// Back-off per host.
    public let hosts: HostBook
    /// One fetch for equal digests.
    public let inFlight: InFlightTable
    /// What observers see.
    public let events: EventStream
    /// Clocks.
    public let time: any TimeSource
    /// Whether a transfer may end its run where its host wants a long pause, because its worker runs it again.
    var hasQueue = false

    /// Resources for one process.
    ///
    /// - Parameter jitter: random numbers in 0..<1, for back-off.
    public init(
        memory: ByteCount,
        up: UInt64? = nil,
        down: UInt64? = nil,
        events: EventStream = EventStream(),
        time: any TimeSource = SystemTime(),
        policy: RetryPolicy = RetryPolicy(),
        jitter: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        // Idle buffers beyond the budget would be memory that nobody admitted.
        pool = BufferPool(retained: Int(clamping: memory.bytes / UInt64(BufferPool.chunkCapacity)))
        budget = MemoryBudget(memory)
        throttle = Throttle(up: up, down: down, time: time)
        hosts = HostBook(time: time, policy: policy, jitter: jitter)
        inFlight = InFlightTable()
        self.events = events
        self.time = time
    }

    /// The pace of reads. Those of local files are paced only where nothing else is: `--bwlimit` is about the network, but
    /// a copy from disk to disk, or into a store on a shared one, that ignored it would surprise.
    func readGate(of source: any SourceObject, pacesWrites: Bool) -> (any FlowGate)? {
        source.host == "file" && pacesWrites ? nil : throttle.downloadGate(time: time)
    }

    /// The same with another budget.
    func with(budget: MemoryBudget) -> PipelineResources {
        var resources = self
        resources.budget = budget
        return resources
    }
}

/// Limits of one transfer.
public struct TransferLimits: Sendable {
    /// Most connections for one object.
    public var connections: Int
    /// The user's part size, bytes; nil: the sink's preferred one.
    public var partSize: UInt64?
    /// Nothing arrives for so long: the read is given up and taken up again.
    public var idleTimeout: Duration

    /// The defaults: 4 connections, 30 s of silence.
    public init(connections: Int = 4, partSize: UInt64? = nil, idleTimeout: Duration = .seconds(30)) {
        self.connections = max(1, connections)
        self.partSize = partSize
        self.idleTimeout = idleTimeout
    }
}
