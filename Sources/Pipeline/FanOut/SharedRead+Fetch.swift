import SluiceBytes
import Synchronization

extension SharedRead {
    /// Fetches what a block lacks. It runs apart from the member that asked for it, which may leave meanwhile.
    func fetch(_ block: UInt64, _ id: Int, _ range: ByteRange, _ options: ReadOptions) async {
        var received: UInt64 = 0
        do {
            let isOnly = state.withLock { $0.board?.isSequential ?? false }
            let stream = try await openStream(range, isOnly, options)
            defer { if !isOnly { stream.cancel() } }
            try await fill(block, id, range, stream, isOnly, options.pool, &received)
            change { state in
                guard state.fetches[block]?.id == id else { return }
                state.fetches[block] = nil
                state.board?.ended(block)
            }
        } catch {
            ended(block, id, error, received)
        }
    }

    private func openStream(_ range: ByteRange, _ isOnly: Bool, _ options: ReadOptions) async throws -> any ByteStream {
        let (known, source, info) = state.withLock { state in
            var known: (any ByteStream)?
            if let (stream, reach) = state.stream,
                isOnly || (reach.lower == range.lower && reach.upper >= range.upper)
            {
                known = stream
                if !isOnly { state.stream = nil }
            }
            let info: ObjectInfo? = if case .done(let info) = state.look { info } else { nil }
            return (known, state.source, info)
        }
        if let known { return known }
        guard let source, let info else { throw CancellationError() }
        let options = forAll(options, source)
        guard isOnly else { return try await source.read(range, of: info, options: options) }
        let whole = ByteRange(0, info.size ?? .max)
        let stream = try await source.read(whole, of: info, options: options)
        change { $0.stream = (stream, whole) }
        return stream
    }

    /// Small pieces are copied together: each holds a whole buffer, and blocks were admitted by their length.
    private func fill(
        _ block: UInt64,
        _ id: Int,
        _ range: ByteRange,
        _ stream: any ByteStream,
        _ isOnly: Bool,
        _ pool: BufferPool,
        _ received: inout UInt64
    ) async throws {
        let gathered = PieceGatherer(pool: pool)
        var offset = range.lower
        func keep(_ chunks: [Chunk]) throws {
            for chunk in chunks {
                try Task.checkCancellation()
                let at = offset
                offset += UInt64(chunk.count)
                received += UInt64(chunk.count)
                let end = offset
                change { state in
                    // Nobody needs it any more: it was swept, and this fetch is cancelled.
                    guard state.fetches[block]?.id == id else { return }
                    state.chunks[block, default: []].append((at, chunk))
                    state.board?.filled(block, to: end)
                }
            }
        }
        do {
            while true {
                let rest = state.withLock { state in
                    defer { state.leftover = nil }
                    return state.leftover
                }
                let piece: Chunk? = if let rest { rest } else { try await stream.next() }
                if received == 0, gathered.count == 0 { answered() }
                guard let piece else {
                    try keep(gathered.flush())
                    try ended(at: offset, of: range, isOnly)
                    return
                }
                let room = range.upper - offset - gathered.count
                let own = piece.prefix(Int(min(UInt64(piece.count), room)))
                let isFull = UInt64(own.count) == room
                try keep(gathered.add(own, isLast: isFull))
                let surplus = piece.dropFirst(own.count)
                if isOnly, isFull, !isLast(range) {
                    if surplus.count > 0 { state.withLock { $0.leftover = surplus } }
                    return
                }
                if surplus.count > 0 { return try refuseSurplus(after: range) }
            }
        } catch {
            try? keep(gathered.flush())
            throw error
        }
    }

    /// Those who wait for the block cannot tell the host book before they have its bytes.
    private func answered() {
        if let host = state.withLock({ $0.source?.host }) { resources.hosts.succeeded(host) }
    }

    private func isLast(_ range: ByteRange) -> Bool {
        state.withLock { $0.board?.size == range.upper }
    }

    /// More came than was announced; behind a block in the middle it is the rest of what the first look asked for.
    private func refuseSurplus(after range: ByteRange) throws {
        guard isLast(range) else { return }
        throw SluiceError(
            .badAnswer,
            object: state.withLock { $0.source?.location },
            "more than the announced \(range.upper) bytes came"
        )
    }

    private func ended(at offset: UInt64, of range: ByteRange, _ isOnly: Bool) throws {
        let size = state.withLock { $0.board?.size }
        if isOnly, size == nil { return change { $0.board?.settle(size: offset) } }
        guard offset < range.upper else { return }
        throw SluiceError(
            .truncated,
            object: state.withLock { $0.source?.location },
            "the bytes ended at \(offset) of \(size ?? range.upper)",
            retry: isOnly ? .restart : .backoff
        )
    }

    private func ended(_ block: UInt64, _ id: Int, _ error: any Error, _ received: UInt64) {
        guard state.withLock({ $0.fetches[block]?.id == id }) else { return }
        let isOneTooMany = received == 0 && (error as? SluiceError)?.mayMeanTooMany == true
        let limit: Int? = state.withLock { state in
            guard isOneTooMany, let board = state.board, !board.isSequential, board.underWay > 1 else { return nil }
            return board.underWay - 1
        }
        func end(_ state: inout State) {
            guard state.fetches[block]?.id == id else { return }
            state.fetches[block] = nil
            state.board?.ended(block)
            if state.board?.isSequential == true { state.failure = state.failure ?? error }
        }
        guard let limit else { return fail(block, error, end) }
        // A connection that was refused while others are served is one too many: its turn comes when one of those ends.
        resources.hosts.noteConnectionLimit(limit, of: state.withLock { $0.source?.host } ?? "")
        change { state in
            end(&state)
            state.board?.mostFetches = limit
        }
    }
}
