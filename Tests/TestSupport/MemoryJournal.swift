import SluiceBytes
import SluicePipeline
import Synchronization

/// A journal that outlives the run that writes it, as the state store does.
public final class MemoryJournal: TransferJournal {
    private struct State {
        var saved: JournalSnapshot?
        var calls: [String] = []
        var stale = false
        var stored: [Digest: [StoredObject]] = [:]
        var kill = KillSwitch()
    }

    private let state = Mutex(State())
    /// Failures: `begin`, `beginWhole`, `save`, `record`, `willCommit`, `reset`.
    public let faults = FaultPlan()

    /// An empty journal.
    public init() {}

    /// What is in it.
    public var saved: JournalSnapshot? { state.withLock { $0.saved } }
    /// The names of the calls that were durable.
    public var calls: [String] { state.withLock { $0.calls } }

    /// Dies with `kill` from now on.
    public func run(under kill: KillSwitch) { state.withLock { $0.kill = kill } }

    /// Another worker claimed the transfer: every call throws `.superseded`.
    public func takeAway() { state.withLock { $0.stale = true } }

    /// Overwrites what is in it.
    public func put(_ snapshot: JournalSnapshot?) { state.withLock { $0.saved = snapshot } }

    /// Content that was stored before.
    public func note(_ stored: StoredObject, _ digest: Digest) {
        state.withLock { $0.stored[digest, default: []].append(stored) }
    }

    /// What was noted.
    public func stored(_ digest: Digest) async throws -> [StoredObject] { state.withLock { $0.stored[digest] ?? [] } }

    private func write(_ call: String, _ body: (inout JournalSnapshot?) -> Void) throws {
        try faults.pass(call)
        let kill = state.withLock { $0.kill }
        try kill.step()
        try state.withLock { state in
            if state.stale { throw SluiceError(.superseded, "another worker has it") }
            state.calls.append(call)
            body(&state.saved)
        }
    }

    /// What an earlier run left.
    public func snapshot() async throws -> JournalSnapshot? { state.withLock { $0.saved } }

    /// Binds.
    public func begin(pin: Pin, size: UInt64?, partSize: UInt64) async throws {
        try write("begin") { saved in
            saved = JournalSnapshot(
                pin: pin,
                partSize: partSize,
                size: size,
                session: nil,
                receipts: [],
                digestState: nil,
                digestOffset: 0,
                hashedParts: [:],
                committing: false
            )
        }
    }

    /// Binds, with the intent to commit.
    public func begin(pin: Pin, size: UInt64, partSize: UInt64, session: [UInt8], sha256: Digest?) async throws {
        try write("beginWhole") { saved in
            saved = JournalSnapshot(
                pin: pin,
                partSize: partSize,
                size: size,
                session: session,
                receipts: [],
                digestState: nil,
                digestOffset: 0,
                hashedParts: [:],
                committing: true,
                commitDigest: sha256
            )
        }
    }

    /// Saves the record.
    public func save(session: [UInt8]) async throws {
        try write("save") { saved in
            saved?.session = session
            saved?.committing = false
            saved?.commitDigest = nil
        }
    }

    /// Saves a receipt; the digest only moves forward.
    public func record(
        _ receipt: PartReceipt,
        digestState: [UInt8]?,
        digestOffset: UInt64,
        hashedParts: [Int: Digest]
    ) async throws {
        try write("record") { saved in
            saved?.receipts.removeAll { $0.part.index == receipt.part.index }
            saved?.receipts.append(receipt)
            saved?.receipts.sort { $0.part.index < $1.part.index }
            saved?.hashedParts.merge(hashedParts) { _, new in new }
            guard let old = saved, digestOffset >= old.digestOffset else { return }
            saved?.digestState = digestState
            saved?.digestOffset = digestOffset
        }
    }

    /// Forgets whose bytes they are.
    public func mix() async throws { try write("mix") { $0?.pin = .mixed } }

    /// Saves the intent.
    public func willCommit(sha256: Digest?) async throws {
        try write("willCommit") { saved in
            saved?.committing = true
            saved?.commitDigest = sha256
        }
    }

    /// Forgets.
    public func reset() async throws { try write("reset") { $0 = nil } }
}
