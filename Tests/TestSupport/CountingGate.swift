import SluiceBytes
import Synchronization

/// A gate that lets everything pass and counts it.
public final class CountingGate: FlowGate {
    private let state = Mutex((booked: 0, largest: 0))

    /// A gate that has counted nothing.
    public init() {}

    /// Bytes that were booked.
    public var booked: Int { state.withLock { $0.booked } }

    /// The most that was booked at once.
    public var largest: Int { state.withLock { $0.largest } }

    /// Unlimited.
    public var bytesPerSecond: UInt64? { nil }

    /// Counts, and lets pass.
    public func book(_ count: Int) -> Duration {
        state.withLock { $0 = ($0.booked + count, max($0.largest, count)) }
        return .zero
    }
}
