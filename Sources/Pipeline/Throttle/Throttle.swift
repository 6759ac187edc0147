import SluiceBytes
import Synchronization

/// The limits of the whole process: one bucket for each direction, changeable while transfers run.
public final class Throttle: Sendable {
    private let download: BucketGate
    private let upload: BucketGate

    /// - Parameters:
    ///   - up: bytes per second that may leave, nil for no limit.
    ///   - down: bytes per second that may arrive, nil for no limit.
    public init(up: UInt64? = nil, down: UInt64? = nil, time: any TimeSource) {
        upload = BucketGate(rate: up, time: time)
        download = BucketGate(rate: down, time: time)
    }

    /// Changes both limits at once; waits that were granted already keep their length.
    public func setLimits(up: UInt64?, down: UInt64?) {
        upload.setRate(up)
        download.setRate(down)
    }

    /// The limits now, bytes per second.
    public var limits: (up: UInt64?, down: UInt64?) { (upload.rate, download.rate) }

    /// The gate of received bytes for one transfer: the process's limit and, if given, its own.
    public func downloadGate(limit: UInt64? = nil, time: any TimeSource) -> any FlowGate {
        limit.map { PairGate(download, BucketGate(rate: $0, time: time)) } ?? download
    }

    /// The gate of sent bytes for one transfer.
    public func uploadGate(limit: UInt64? = nil, time: any TimeSource) -> any FlowGate {
        limit.map { PairGate(upload, BucketGate(rate: $0, time: time)) } ?? upload
    }
}

/// A token bucket that many streams book from.
final class BucketGate: FlowGate {
    private let bucket: Mutex<TokenBucket>
    private let time: any TimeSource

    init(rate: UInt64?, time: any TimeSource) {
        bucket = Mutex(TokenBucket(rate: rate, now: time.now()))
        self.time = time
    }

    var rate: UInt64? { bucket.withLock { $0.rate } }

    var bytesPerSecond: UInt64? { rate }

    func setRate(_ rate: UInt64?) {
        let now = time.now()
        bucket.withLock { $0.setRate(rate, now: now) }
    }

    func book(_ count: Int) -> Duration {
        let now = time.now()
        return bucket.withLock { $0.book(count, now: now) }
    }
}

/// Two limits at once: the longer wait holds.
struct PairGate: FlowGate {
    private let first: BucketGate
    private let second: BucketGate

    init(_ first: BucketGate, _ second: BucketGate) {
        self.first = first
        self.second = second
    }

    var bytesPerSecond: UInt64? { [first.rate, second.rate].compactMap { $0 }.min() }

    func book(_ count: Int) -> Duration { max(first.book(count), second.book(count)) }
}
