import SluicePipeline

/// What became of a transfer, whichever process ran it.
enum TransferFate: Sendable {
    /// It has not ended: it is one of this job.
    case open(JobID)
    /// Under the policy that its row had then.
    case finished(TransferOutcome, under: OverwritePolicy)
    case failed(SluiceError, parked: Bool)
    /// The user paused or cancelled it.
    case held(TransferState)

    /// Tells and counts it as of this process's own: with the events that a worker of this process would have published.
    func tell(
        of row: TransferID,
        source: String,
        target: String,
        size: UInt64?,
        to events: EventStream,
        _ report: inout RunReport
    ) {
        if case .open = self { return }
        events.publish(.started(source: source, target: target, size: size), of: row)
        switch self {
        case .open: return
        case .finished(let outcome, _):
            report.states[outcome.state, default: 0] += 1
            events.publish(.finished(outcome), of: row)
        case .failed(let error, let parked):
            report.states[parked ? .parked : .failed, default: 0] += 1
            report.failures[error.code, default: 0] += 1
            events.publish(.failed(error, parked: parked), of: row)
        case .held(let state):
            report.states[state, default: 0] += 1
            events.publish(.released(state), of: row)
        }
    }
}
