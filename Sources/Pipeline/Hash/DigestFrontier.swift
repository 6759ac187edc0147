import SluiceBytes
import Synchronization

/// SHA-256 of the whole in one pass, whatever order the bytes arrive in.
///
/// Whoever brings the bytes at the frontier hashes them, and then whatever lies ready behind them; everyone else
/// leaves theirs and goes on. So hashing runs beside the network without a thread of its own, on data that is still
/// in the cache where one connection feeds it. Bytes ahead of the frontier wait as chunks (S3, whose parts are in
/// memory anyway; files while memory is free) or as ranges that are read back from the page cache (files).
final class DigestFrontier: Sendable {
    /// Bytes that wait for the frontier.
    enum Item: Sendable {
        /// `admitted`: memory that was reserved for the wait, given back once the chunk is hashed.
        case memory(Chunk, admitted: MemoryReservation? = nil)
        case stored(ByteRange)

        var count: UInt64 {
            switch self {
            case .memory(let chunk, _): UInt64(chunk.count)
            case .stored(let range): range.count
            }
        }
    }

    private struct Waiter {
        let offset: UInt64
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var hash: SHA256
        var position: UInt64
        var pending: [UInt64: Item] = [:]
        var chunksHeld = 0
        var isHashing = false
        var waiters: [Waiter] = []
        var failure: (any Error)?
        /// Saved states at part boundaries that were passed: the journal wants the one at a boundary.
        var boundary: (offset: UInt64, state: [UInt8])
        var readBack: UInt64 = 0
    }

    private let state: Mutex<State>
    private let extras: [RunningDigestBox]
    private let boundaryStep: UInt64
    private let end: UInt64
    private let read: @Sendable (ByteRange) async throws -> Chunk

    /// - Parameters:
    ///   - hash: the running hash, at `position`.
    ///   - boundaryStep: the part size, at whose multiples the running state is kept for the journal; 0: never.
    ///   - end: the object's length, where the state is kept too: the last part is seldom a full one. A git blob's digest
    ///     begins with it.
    ///   - extras: other digests of the whole; possible only from position 0.
    ///   - read: reads back a stored range, at most a chunk of it.
    init(
        hash: SHA256 = SHA256(),
        position: UInt64 = 0,
        boundaryStep: UInt64 = 0,
        end: UInt64 = .max,
        extras: Set<DigestAlgorithm> = [],
        read: @escaping @Sendable (ByteRange) async throws -> Chunk
    ) {
        state = Mutex(State(hash: hash, position: position, boundary: (position, hash.savedState)))
        self.extras = position == 0 ? extras.map { RunningDigestBox($0, size: end) } : []
        self.boundaryStep = boundaryStep
        self.end = end
        self.read = read
    }

    /// How many leading bytes are hashed.
    var position: UInt64 { state.withLock { $0.position } }

    /// Chunks that wait in memory ahead of the frontier.
    var chunksHeld: Int { state.withLock { $0.chunksHeld } }

    /// Bytes that had to be read back.
    var bytesReadBack: UInt64 { state.withLock { $0.readBack } }

    /// The newest saved state at a part boundary.
    var savedBoundary: (offset: UInt64, state: [UInt8]) { state.withLock { $0.boundary } }

    /// Brings bytes. Returns at once unless they are the next ones; then hashes as far as bytes lie ready.
    ///
    /// - Throws: what broke the hash, here or at whoever hashed before.
    func offer(_ item: Item, at offset: UInt64) async throws {
        guard item.count > 0 else { return }
        let mine = try state.withLock { state in
            if let failure = state.failure { throw failure }
            // Bytes that a resumed hash covers already are compared by their part's CRC, not hashed twice.
            guard offset >= state.position else { return false }
            state.pending[offset] = item
            if case .memory = item { state.chunksHeld += 1 }
            guard !state.isHashing, offset == state.position else { return false }
            state.isHashing = true
            return true
        }
        if mine { try await drain() }
    }

    private func drain() async throws {
        while let item = nextItem() {
            do {
                try await hash(item)
            } catch {
                fail(error)
                throw error
            }
        }
    }

    private func nextItem() -> Item? {
        state.withLock { state in
            guard state.failure == nil, let item = state.pending.removeValue(forKey: state.position) else {
                state.isHashing = false
                return nil
            }
            if case .memory = item { state.chunksHeld -= 1 }
            return item
        }
    }

    private func hash(_ item: Item) async throws {
        switch item {
        case .memory(let chunk, _):
            take(chunk)
        case .stored(let range):
            var lower = range.lower
            while lower < range.upper {
                let chunk = try await read(ByteRange(lower, range.upper))
                guard chunk.count > 0 else {
                    throw SluiceError(.truncated, "read back \(lower) bytes of \(range.upper) that were written")
                }
                take(chunk)
                lower += UInt64(chunk.count)
                state.withLock { $0.readBack += UInt64(chunk.count) }
            }
        }
    }

    /// Only the one task that set `isHashing` comes here, so the hash may leave the lock while it works.
    private func take(_ chunk: Chunk) {
        var (hash, position) = state.withLock { ($0.hash, $0.position) }
        var rest = chunk
        var boundary: (offset: UInt64, state: [UInt8])?
        while rest.count > 0 {
            var run = rest
            if boundaryStep > 0 {
                let toBoundary = boundaryStep - position % boundaryStep
                run = rest.prefix(Int(min(UInt64(rest.count), toBoundary)))
            }
            run.advance(&hash)
            position += UInt64(run.count)
            rest = rest.dropFirst(run.count)
            if boundaryStep > 0, position % boundaryStep == 0 || position == end {
                boundary = (position, hash.savedState)
            }
        }
        for extra in extras { extra.update(chunk) }
        let ready = state.withLock { state in
            state.hash = hash
            state.position = position
            if let boundary { state.boundary = boundary }
            let ready = state.waiters.filter { $0.offset <= position }
            state.waiters.removeAll { $0.offset <= position }
            return ready
        }
        for waiter in ready { waiter.continuation.resume() }
    }

    /// Returns when everything below `offset` is hashed, or throws what broke the hash.
    func wait(until offset: UInt64) async throws {
        try await withCheckedThrowingContinuation { continuation in
            let outcome: Result<Void, any Error>? = state.withLock { state in
                if let failure = state.failure { return .failure(failure) }
                if state.position >= offset { return .success(()) }
                state.waiters.append(Waiter(offset: offset, continuation: continuation))
                return nil
            }
            if let outcome { continuation.resume(with: outcome) }
        }
    }

    /// Wakes everyone who waits with `error`: the transfer is over.
    func fail(_ error: any Error) {
        let waiters = state.withLock { state in
            state.failure = state.failure ?? error
            state.isHashing = false
            state.pending = [:]
            state.chunksHeld = 0
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.continuation.resume(throwing: error) }
    }

    /// The digests of the whole, once `position` is the object's length.
    func finish() -> (sha256: Digest, extras: [Digest]) {
        (state.withLock { $0.hash.finalized() }, extras.map { $0.finish() })
    }
}

/// Gives a running digest, which is a class for its C context, to the one task that hashes.
final class RunningDigestBox: Sendable {
    private let digest: Mutex<RunningDigest>

    init(_ algorithm: DigestAlgorithm, size: UInt64) {
        digest = Mutex(RunningDigest(algorithm, size: size))
    }

    func update(_ chunk: Chunk) { digest.withLock { $0.update(chunk) } }

    func finish() -> Digest { digest.withLock { $0.finish() } }
}
