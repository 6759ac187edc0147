/// Decides when bytes may pass. The transport asks it on its loop thread for every callback's worth of bytes, and
/// pauses the socket for the time it says; the answer must come without blocking.
public protocol FlowGate: Sendable {
    /// Books `count` bytes and returns how long they must wait before they pass; zero lets them pass now.
    func book(_ count: Int) -> Duration

    /// The rate now; nil: unlimited. Sizes socket buffers, so that a slow limit is not hidden by what the kernel holds.
    var bytesPerSecond: UInt64? { get }
}
