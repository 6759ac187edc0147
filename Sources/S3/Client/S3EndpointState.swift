import Synchronization

/// What was learnt about one endpoint, shared by all requests to it: its clock, and where its buckets live.
package final class S3EndpointState: Sendable {
    private struct Learnt {
        var clockOffset: Int64 = 0
        var regions: [String: String] = [:]
    }

    private let learnt = Mutex(Learnt())

    package init() {}

    /// Seconds that the server's clock is ahead of ours.
    package var clockOffset: Int64 {
        get { learnt.withLock { $0.clockOffset } }
        set { learnt.withLock { $0.clockOffset = newValue } }
    }

    /// The region of a bucket, once an answer told it.
    package func region(of bucket: String) -> String? {
        learnt.withLock { $0.regions[bucket] }
    }

    package func learn(region: String, of bucket: String) {
        learnt.withLock { $0.regions[bucket] = region }
    }
}
