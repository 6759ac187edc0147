import Glibc
import SluicePipeline

/// What the limit of open files leaves for transfers: those that do not fit wait in the queue instead of failing.
struct DescriptorBudget: Hashable, Sendable {
    /// Standard streams, state file and journal, events and timers, certificates, name look-ups, and what a listing
    /// holds open.
    private static let reserved = 24
    /// A directory and a temporary file.
    private static let perTransfer = 2
    /// Objects at a time, if the user does not say; and while they are small: what the rounds of a store and of the state
    /// file cost is shared by those that run side by side (docs/performance.md).
    private static let (usual, mostShort) = (4, 256)

    /// Sockets of one transport.
    let sockets: Int
    /// Lanes of one object: each may hold the source's file open.
    let lanes: Int
    /// Objects at a time.
    let transfers: Int
    /// Objects at a time while they are small.
    let shortTransfers: Int

    /// - Parameters:
    ///   - limit: open files of the process.
    ///   - lanes: as many as the user wants.
    ///   - transfers: as many as the user wants; nil: the default, which grows while objects are small.
    init(limit: UInt64, lanes: Int, transfers: Int?) {
        let free = max(0, Int(clamping: limit) - Self.reserved)
        sockets = min(64, max(2, free / 3))
        let files = max(0, free - sockets)
        // Six lanes of one transfer are worth less than another transfer.
        self.lanes = max(1, min(lanes, files / 6))
        let room = files / (Self.perTransfer + self.lanes)
        self.transfers = max(1, min(transfers ?? Self.usual, room))
        shortTransfers = max(1, min(transfers ?? Self.mostShort, room))
    }

    /// The soft limit of this process, which `Hardening` has raised as far as it goes.
    static func limit() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return UInt64(limit.rlim_cur)
    }
}
