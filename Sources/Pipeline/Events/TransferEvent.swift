import SluiceBytes

/// What a transfer is doing, named for people.
public enum TransferPhase: String, Sendable, Codable {
    /// Looks at the source and asks the sink.
    case resolving
    /// Re-reads what an earlier attempt left.
    case verifying
    /// Bytes move.
    case moving
    /// All bytes moved; the rest of the hash, sync, completion and the last look are under way.
    case committing
    /// Waits for its next attempt.
    case waiting
}

/// Something that happened, in order.
public struct TransferEvent: Sendable {
    /// What happened.
    public enum Kind: Sendable {
        /// The transfer was claimed.
        case started(source: String, target: String, size: UInt64?)
        /// It goes into another phase.
        case phase(TransferPhase)
        /// The length became known.
        case size(UInt64)
        /// Bytes proven so far of those that must come, this and earlier runs; `rate` is the mover's business.
        case progress(done: UInt64)
        /// An attempt failed and another will come.
        case retrying(error: SluiceError, after: Duration)
        /// It ended well.
        case finished(TransferOutcome)
        /// It ended with an error (parked ones too).
        case failed(SluiceError, parked: Bool)
        /// It was given back: paused, cancelled, or the program stops.
        case released(TransferState)
        /// Something worth a line that is no failure: a skipped entry, a weak pin.
        case warning(String)
    }

    /// Rises by one for each event of the process; a gap tells a slow consumer that progress was merged.
    public var sequence: UInt64
    /// Which transfer; nil for the job as a whole.
    public var transfer: TransferID?
    /// What happened.
    public var kind: Kind

    /// An event from its parts.
    public init(sequence: UInt64, transfer: TransferID?, kind: Kind) {
        self.sequence = sequence
        self.transfer = transfer
        self.kind = kind
    }
}
