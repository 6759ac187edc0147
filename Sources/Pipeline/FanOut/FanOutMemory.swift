import SluiceBytes

/// How much memory a shared read and its members take, decided before the first of them moves a byte.
///
/// All of it is one reservation, and each member has a budget of its own within it. A member that waited for memory
/// which another one holds, while that one waits for it to take its bytes, would wait for ever.
struct FanOutMemory: Sendable, Hashable {
    /// What a member's sink takes.
    struct Demand: Sendable {
        let capabilities: SinkCapabilities
        let limits: TransferLimits
        /// Of the object, if a listing told it.
        let listedSize: UInt64?
    }

    /// Kept blocks of this length.
    let blockSize: UInt64
    /// See `FanOutBoard.window`.
    let window: UInt64

    private static let chunk = UInt64(BufferPool.chunkCapacity)
    private static let largestBlock: UInt64 = 8 << 20
    private static let widestWindow: UInt64 = 4

    /// A quarter of the budget for what is kept, in eight blocks if they can be so small.
    init(total: ByteCount) {
        var block = FanOutMemory.largestBlock
        while block > FanOutMemory.chunk, block * 2 * FanOutMemory.widestWindow > total.bytes / 4 { block /= 2 }
        blockSize = block
        window = max(1, min(FanOutMemory.widestWindow, total.bytes / 4 / block / 2))
    }

    /// The most that is kept of an object: see `FanOutBoard` for why it is twice the window.
    func kept(of size: UInt64?) -> UInt64 {
        let chunk = FanOutMemory.chunk
        let whole = (size ?? .max).addingCapped(chunk - 1) / chunk * chunk
        return min(2 * window * blockSize, whole) + chunk
    }

    /// What must be admitted before the first bytes are asked for: enough for the whole read of an object as large as
    /// was listed, or of a small one. Of those there are many at once, and none of them could have more then.
    func first(_ demands: [Int: Demand], total: ByteCount) throws -> UInt64 {
        if let listed = demands.values.compactMap(\.listedSize).max() {
            return all(try shares(demands, size: listed, total: total), size: listed)
        }
        let small = FanOutMemory.chunk
        return max(kept(of: blockSize), all(try shares(demands, size: small, total: total), size: small))
    }

    /// What is kept, and all members' shares.
    func all(_ shares: [Int: UInt64], size: UInt64?) -> UInt64 {
        shares.values.reduce(kept(of: size)) { $0.addingCapped($1) }
    }

    /// What each member needs: as many lanes as it may have, fewer where all would take more than half of the budget,
    /// and one at least.
    func shares(_ demands: [Int: Demand], size: UInt64?, total: ByteCount) throws -> [Int: UInt64] {
        var lanes = max(1, demands.values.map(\.limits.connections).max() ?? 1)
        while true {
            let shares = try demands.mapValues { try FanOutMemory.share($0, size, lanes: lanes) }
            if lanes == 1 || all(shares, size: size) <= total.bytes / 2 { return shares }
            lanes -= 1
        }
    }

    private static func share(_ demand: Demand, _ size: UInt64?, lanes: Int) throws -> UInt64 {
        let partSize = try PartPlan.partSize(for: size ?? 0, demand.capabilities, preferred: demand.limits.partSize)
        let count = size.map { PartPlan(size: $0, partSize: partSize).count } ?? .max
        let lane = FirstLook.memory(prefetch: partSize, of: size, demand.capabilities)
        let most = PartMover.mostLanes(demand.limits, demand.capabilities, isShared: true)
        // A small file is held whole, beside what a stream holds.
        return max(lane * UInt64(max(1, min(lanes, most, count))), WholeMover.memory)
    }
}
