import SluiceBytes
import Synchronization

/// One fetch for equal digests: the first transfer of a digest to a sink owns it, the others wait and then take what
/// the owner stored.
public final class InFlightTable: Sendable {
    /// What became of a claim.
    public enum Claim: Sendable {
        /// Fetch it, and `settle` it in the end, whatever the end.
        case owner
        /// Another transfer stored it meanwhile.
        case stored(StoredObject)
        /// One of the caller's own group has it, and reads together with the caller: neither waits for the other.
        case together
    }

    private struct Entry {
        var group: ObjectIdentifier?
        var waiters: [Int: CheckedContinuation<StoredObject?, Never>] = [:]
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var nextWaiter = 0
    }

    private let state = Mutex(State())

    /// An empty table.
    public init() {}

    /// How many wait for an owner, for tests.
    package var waiting: Int { state.withLock { $0.entries.values.reduce(0) { $0 + $1.waiters.count } } }

    /// Claims `digest` for a sink; waits while another transfer has it. If that one fails, the next waiter owns it.
    ///
    /// - Parameters:
    ///   - group: the shared read that the caller is a member of.
    ///   - willWait: called before it waits: the owner may need what the caller holds.
    /// - Throws: `CancellationError` when the task is cancelled while it waits: the owner may take hours.
    public func claim(
        _ digest: Digest,
        at sinkHost: String,
        group: ObjectIdentifier? = nil,
        willWait: () -> Void = {}
    ) async throws -> Claim {
        let key = "\(sinkHost) \(digest)"
        while true {
            try Task.checkCancellation()
            let claim: Claim? = state.withLock { state in
                if let entry = state.entries[key] {
                    return group != nil && entry.group == group ? .together : nil
                }
                state.entries[key] = Entry(group: group)
                return .owner
            }
            if let claim { return claim }
            willWait()
            if let stored = await wait(key) { return .stored(stored) }
        }
    }

    /// What the owner stored; nil if it failed, or if this task is cancelled.
    private func wait(_ key: String) async -> StoredObject? {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    // The handler takes the same lock: it ran before, and is seen here, or it finds the waiter.
                    guard state.entries[key] != nil, !Task.isCancelled else { return false }
                    state.entries[key]?.waiters[id] = continuation
                    return true
                }
                if !waits { continuation.resume(returning: nil) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.entries[key]?.waiters.removeValue(forKey: id) }
            waiter?.resume(returning: nil)
        }
    }

    /// Ends the owner's claim; `stored` is nil if it failed.
    public func settle(_ digest: Digest, at sinkHost: String, stored: StoredObject?) {
        let waiters = state.withLock { state in
            state.entries.removeValue(forKey: "\(sinkHost) \(digest)")?.waiters ?? [:]
        }
        for waiter in waiters.values { waiter.resume(returning: stored) }
    }
}
