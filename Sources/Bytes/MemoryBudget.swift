import Synchronization

/// Admits buffers before they are asked for (DESIGN rule 6): one budget for the process, in order of asking.
///
/// A request larger than the whole budget is admitted alone, when nothing else is held, so that no configuration
/// deadlocks. Nobody who holds a reservation may wait for a second one.
public final class MemoryBudget: Sendable {
    private struct Waiter {
        let id: UInt64
        let bytes: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var held: UInt64 = 0
        var peak: UInt64 = 0
        var nextID: UInt64 = 0
        var waiters: [Waiter] = []
        var cancelled: Set<UInt64> = []
    }

    /// The whole budget.
    public let total: ByteCount
    private let state = Mutex(State())

    /// A budget of `total` bytes.
    public init(_ total: ByteCount) {
        self.total = total
    }

    /// Bytes held now and at most so far.
    package var usage: (held: UInt64, peak: UInt64) { state.withLock { ($0.held, $0.peak) } }

    /// How many wait.
    package var waiting: Int { state.withLock { $0.waiters.count } }

    /// Waits its turn for `bytes`; they are given back when the reservation is released or gone.
    ///
    /// - Throws: `CancellationError` when the task is cancelled while it waits.
    public func reserve(_ bytes: UInt64) async throws -> MemoryReservation {
        let id = state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let outcome: Result<Void, any Error>? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .failure(CancellationError()) }
                    if state.waiters.isEmpty, admits(bytes, state) {
                        take(bytes, &state)
                        return .success(())
                    }
                    state.waiters.append(Waiter(id: id, bytes: bytes, continuation: continuation))
                    return nil
                }
                if let outcome { continuation.resume(with: outcome) }
            }
        } onCancel: {
            cancel(id)
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        return MemoryReservation(budget: self, bytes: bytes)
    }

    /// Takes `bytes` if they are free now and nobody waits.
    public func tryReserve(_ bytes: UInt64) -> MemoryReservation? {
        tryAdd(bytes) ? MemoryReservation(budget: self, bytes: bytes) : nil
    }

    /// Adds to what somebody holds, if it is free now and nobody waits.
    fileprivate func tryAdd(_ bytes: UInt64) -> Bool {
        state.withLock { state in
            guard state.waiters.isEmpty, admits(bytes, state) else { return false }
            take(bytes, &state)
            return true
        }
    }

    fileprivate func release(_ bytes: UInt64) {
        let admitted: [Waiter] = state.withLock { state in
            state.held -= bytes
            return admitWaiters(&state)
        }
        for waiter in admitted { waiter.continuation.resume() }
    }

    private func cancel(_ id: UInt64) {
        let woken: (Waiter?, [Waiter]) = state.withLock { state in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else {
                state.cancelled.insert(id)
                return (nil, [])
            }
            let waiter = state.waiters.remove(at: index)
            return (waiter, admitWaiters(&state))
        }
        woken.0?.continuation.resume(throwing: CancellationError())
        for waiter in woken.1 { waiter.continuation.resume() }
    }

    private func admitWaiters(_ state: inout State) -> [Waiter] {
        var admitted: [Waiter] = []
        while let first = state.waiters.first, admits(first.bytes, state) {
            take(first.bytes, &state)
            admitted.append(state.waiters.removeFirst())
        }
        return admitted
    }

    private func admits(_ bytes: UInt64, _ state: State) -> Bool {
        if state.held == 0 { return true }
        let (sum, overflow) = state.held.addingReportingOverflow(bytes)
        return !overflow && sum <= total.bytes
    }

    private func take(_ bytes: UInt64, _ state: inout State) {
        state.held += bytes
        state.peak = max(state.peak, state.held)
    }
}

/// Admitted bytes of a `MemoryBudget`; released when it is gone, or earlier by hand.
public final class MemoryReservation: Sendable {
    private let budget: MemoryBudget
    private let bytes: Mutex<UInt64>

    init(budget: MemoryBudget, bytes: UInt64) {
        self.budget = budget
        self.bytes = Mutex(bytes)
    }

    /// The bytes that are still held.
    package var held: UInt64 { bytes.withLock { $0 } }

    /// Holds `wanted` bytes at least, if what is missing is free now; false, and nothing changes, if it is not.
    package func tryGrow(to wanted: UInt64) -> Bool {
        bytes.withLock { bytes in
            guard bytes < wanted else { return true }
            guard budget.tryAdd(wanted - bytes) else { return false }
            bytes = wanted
            return true
        }
    }

    /// Gives everything back now.
    public func release() { shrink(to: 0) }

    /// Gives back all but `remaining` bytes.
    public func shrink(to remaining: UInt64) {
        let freed = bytes.withLock { bytes in
            let freed = bytes > remaining ? bytes - remaining : 0
            bytes -= freed
            return freed
        }
        if freed > 0 { budget.release(freed) }
    }

    deinit {
        release()
    }
}
