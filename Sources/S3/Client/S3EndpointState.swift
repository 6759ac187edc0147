import Synchronization

/// What was learnt about one endpoint, shared by all requests to it: its clock, where its buckets live, and whether it
/// checks a CRC32C in a header.
package final class S3EndpointState: Sendable {
    private struct Learnt {
        var clockOffset: Int64 = 0
        var regions: [String: String] = [:]
        var checksCRC32C: Bool?
    }

    private let learnt = Mutex(Learnt())

    package init() {}

    /// Seconds that the server's clock is ahead of ours.
    package var clockOffset: Int64 {
        get { learnt.withLock { $0.clockOffset } }
        set { learnt.withLock { $0.clockOffset = newValue } }
    }

    /// Whether the endpoint verifies `x-amz-checksum-crc32c`; nil before an answer told.
    package var checksCRC32C: Bool? {
        get { learnt.withLock { $0.checksCRC32C } }
        set { learnt.withLock { $0.checksCRC32C = newValue } }
    }

    /// The region of a bucket, once an answer told it.
    package func region(of bucket: String) -> String? {
        learnt.withLock { $0.regions[bucket] }
    }

    package func learn(region: String, of bucket: String) {
        learnt.withLock { $0.regions[bucket] = region }
    }
}
