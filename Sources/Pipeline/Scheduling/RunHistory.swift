/// What a worker remembers of a transfer's earlier runs, and what follows for the next one: a pure decision.
struct RunHistory: Sendable {
    /// How many runs a transfer gets before a failure that a retry could help is final.
    let runs: Int
    /// Pauses of the host that count as one failed run.
    let patience: Int
    /// Fresh starts by transfer. Progress sets attempts to zero, and a fresh start gives all progress up: a source
    /// that changes all the time would be begun for ever.
    private var restarts: [TransferID: Int] = [:]
    /// Runs by transfer that ended at once because the host wanted a pause.
    private var pauses: [TransferID: Int] = [:]

    init(runs: Int, patience: Int) {
        self.runs = runs
        self.patience = max(1, patience)
    }

    /// When the transfer runs again as a whole after `error`; nil: not by itself.
    mutating func retryAfter(_ claim: ClaimedTransfer, _ error: SluiceError) -> Duration? {
        guard claim.attempts + failuresNow(claim, error) < runs else { return nil }
        switch error.retry {
        case .never, .park: return nil
        case .immediately: return .zero
        case .restart: return mayRestart(claim) ? .zero : nil
        case .after(let wait): return wait
        case .backoff where error.seldomPasses: return nil
        case .backoff: return .seconds(5) * (1 << min(6, claim.attempts))
        }
    }

    /// What counts beside the attempts of the row, of which pauses are none. A host may pause so often and for so long
    /// as it likes, but not for ever: as many pauses as failures are borne within a run count as one.
    private mutating func failuresNow(_ claim: ClaimedTransfer, _ error: SluiceError) -> Int {
        if error.gaveSlotUp { pauses[claim.id, default: 0] += 1 }
        return (error.gaveSlotUp ? 0 : 1) + (pauses[claim.id] ?? 0) / patience
    }

    private mutating func mayRestart(_ claim: ClaimedTransfer) -> Bool {
        let earlier = restarts.removeValue(forKey: claim.id) ?? 0
        guard earlier < 2 else { return false }
        restarts[claim.id] = earlier + 1
        return true
    }
}
