/// What a state store says of the sessions that a clean-up finds.
public struct KnownSessions: Sendable {
    /// Whether a session record belongs to a transfer that may still go on from it.
    public var isLive: @Sendable (_ record: [UInt8]) async throws -> Bool
    /// Whether a session for the object at `target`, begun `age` ago (nil: unknown), is a dead one of ours. Asked where
    /// a session bears no mark of its maker.
    public var isOurs: @Sendable (_ target: String, _ age: Duration?) async throws -> Bool

    /// What is known, from its parts.
    public init(
        isLive: @escaping @Sendable (_ record: [UInt8]) async throws -> Bool,
        isOurs: @escaping @Sendable (_ target: String, _ age: Duration?) async throws -> Bool
    ) {
        self.isLive = isLive
        self.isOurs = isOurs
    }
}

/// What came of a clean-up.
public struct CleanUpReport: Sendable {
    /// What was removed, or would be.
    public var removed: [String] = []
    /// Sessions that are old enough, and not ours as far as is known.
    public var foreign = 0
    /// What could not be looked at or removed.
    public var failures: [SluiceError] = []

    /// A report of nothing.
    public init() {}
}
