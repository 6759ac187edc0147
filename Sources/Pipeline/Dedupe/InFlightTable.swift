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
    }

    private struct Entry {
        var waiters: [CheckedContinuation<StoredObject?, Never>] = []
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// An empty table.
    public init() {}

    /// Claims `digest` for a sink; waits while another transfer has it. If that one fails, the next waiter owns it.
    public func claim(_ digest: Digest, at sinkHost: String) async -> Claim {
        let key = "\(sinkHost) \(digest)"
        while true {
            let owns = entries.withLock { entries in
                guard entries[key] == nil else { return false }
                entries[key] = Entry()
                return true
            }
            if owns { return .owner }
            if let stored = await wait(key) { return .stored(stored) }
        }
    }

    private func wait(_ key: String) async -> StoredObject? {
        await withCheckedContinuation { continuation in
            let waits = entries.withLock { entries in
                guard entries[key] != nil else { return false }
                entries[key]?.waiters.append(continuation)
                return true
            }
            if !waits { continuation.resume(returning: nil) }
        }
    }

    /// Ends the owner's claim; `stored` is nil if it failed.
    public func settle(_ digest: Digest, at sinkHost: String, stored: StoredObject?) {
        let waiters = entries.withLock { entries in
            entries.removeValue(forKey: "\(sinkHost) \(digest)")?.waiters ?? []
        }
        for waiter in waiters { waiter.resume(returning: stored) }
    }
}
