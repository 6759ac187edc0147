import SluiceBytes
import Synchronization

extension SharedRead {
    /// Looks at the source once for all members, when all that will come have come; with the first block under way if
    /// one of them wants its bytes.
    ///
    /// - Returns: what it is, and whether it is read as one stream.
    func open(
        _ member: Int,
        _ source: any SourceObject,
        wantsBytes: Bool,
        _ options: ReadOptions
    ) async throws -> (info: ObjectInfo, isOneStream: Bool) {
        change { state in
            state.expected.remove(member)
            if wantsBytes { state.wantsBytes = true }
            guard !state.isPatient, !state.expected.isEmpty else { return }
            state.isPatient = true
            state.start(SharedRead.patienceBlock) { _ in await self.loseLatecomers() }
        }
        return try await wait { state in
            guard state.expected.isEmpty else { return .wait(nil) }
            switch state.look {
            case .done(let info): return .ready((info, state.board?.isSequential ?? false))
            case .underWay: return .wait(SharedRead.lookBlock)
            case .none:
                state.look = .underWay
                state.source = source
                let wanted = state.wantsBytes
                state.start(SharedRead.lookBlock) { _ in await self.look(at: source, wantsBytes: wanted, options) }
                return .wait(SharedRead.lookBlock)
            }
        }
    }

    /// A member whose sink does not answer keeps the others for a while, not for as long as it is tried.
    private func loseLatecomers() async {
        guard (try? await resources.time.sleep(for: SharedRead.patience)) != nil else { return }
        change { state in
            state.fetches[SharedRead.patienceBlock] = nil
            for member in state.expected { state.demands[member] = nil }
            state.expected = []
        }
    }

    private func look(at source: any SourceObject, wantsBytes: Bool, _ options: ReadOptions) async {
        do {
            var first: MemoryReservation?
            if wantsBytes, source.readsAhead {
                let bytes = try memory.first(presentDemands(), total: resources.budget.total)
                first = try await resources.budget.reserve(bytes)
            }
            let opened = try await source.open(
                prefetch: wantsBytes ? memory.blockSize : 0,
                options: forAll(options, source)
            )
            do {
                try await admit(opened, first, mayDrop: source.readsAhead)
            } catch {
                opened.stream?.cancel()
                throw error
            }
        } catch {
            fail(SharedRead.lookBlock, error) { state in
                state.look = .none
                state.fetches[SharedRead.lookBlock] = nil
            }
        }
    }

    private func presentDemands() -> [Int: FanOutMemory.Demand] {
        state.withLock { state in state.demands.filter { state.members.contains($0.key) } }
    }

    /// Admits the memory of the whole read. Nobody who holds memory may wait for more: what the first bytes have is
    /// given back, and the bytes with it, if the rest is not free now.
    private func admit(_ opened: OpenedObject, _ first: MemoryReservation?, mayDrop: Bool) async throws {
        let info = opened.info
        let shares = try memory.shares(presentDemands(), size: info.size, total: resources.budget.total)
        let all = memory.all(shares, size: info.size)
        var stream = opened.stream
        let reservation: MemoryReservation
        if let first, first.tryGrow(to: all) {
            first.shrink(to: all)
            reservation = first
        } else {
            if mayDrop {
                stream?.cancel()
                stream = nil
            }
            first?.release()
            reservation = try await resources.budget.reserve(all)
        }
        begin(info, stream.map { ($0, opened.streamRange) }, reservation, shares)
    }

    private func begin(
        _ info: ObjectInfo,
        _ stream: (stream: any ByteStream, range: ByteRange)?,
        _ reservation: MemoryReservation,
        _ shares: [Int: UInt64]
    ) {
        // As the runner decides it: without a strong pin only one answer is one version, unless a digest will tell.
        let mayJoin = info.pin.isStrong || hasDigest || info.publishedSHA256 != nil
        let isSequential = info.size == nil || !info.supportsRanges || !mayJoin
        let board = FanOutBoard(
            members: shares.keys,
            size: info.size,
            blockSize: memory.blockSize,
            window: memory.window,
            isSequential: isSequential
        )
        // One answer only is one version: the beginning of another one is of no use.
        let isUseful = !isSequential || stream?.range.upper ?? 0 >= info.size ?? .max
        if !isUseful { stream?.stream.cancel() }
        change { state in
            state.fetches[SharedRead.lookBlock] = nil
            state.look = .done(info)
            state.board = board
            state.stream = isUseful ? stream : nil
            state.reservation = reservation
            state.board?.mostFetches = resources.hosts.connectionLimit(state.source?.host ?? "") ?? .max
            for (member, share) in shares {
                if state.members.contains(member) {
                    state.budgets[member] = MemoryBudget(ByteCount(share))
                } else {
                    state.board?.leave(member)
                    reservation.shrink(to: reservation.held - share)
                }
            }
        }
    }
}
