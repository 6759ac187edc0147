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
    private let onClockOffset: @Sendable (Int64) -> Void

    /// Smaller corrections of the clock are not worth a word: answers are some seconds old when they are read.
    private static let tolerance: UInt64 = 60

    /// - Parameter onClockOffset: hears that the server's clock was found so many seconds ahead of ours.
    package init(onClockOffset: @escaping @Sendable (Int64) -> Void = { _ in }) {
        self.onClockOffset = onClockOffset
    }

    /// Seconds that the server's clock is ahead of ours.
    package var clockOffset: Int64 { learnt.withLock { $0.clockOffset } }

    package func learn(clockOffset offset: Int64) {
        let earlier = learnt.withLock { learnt in
            defer { learnt.clockOffset = offset }
            return learnt.clockOffset
        }
        let (change, overflow) = offset.subtractingReportingOverflow(earlier)
        if overflow || change.magnitude > S3EndpointState.tolerance { onClockOffset(offset) }
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
