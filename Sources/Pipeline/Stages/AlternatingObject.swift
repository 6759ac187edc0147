import SluiceBytes
import Synchronization

/// One object at several origins, the source first and then its alternates. Reads come from the first that answers, and
/// go on at the next when that one fails, where a SHA-256 will tell whether the bytes belong together.
///
/// Every origin has its own version, and every read of it is pinned to that. What the first origin that answered says of
/// length and digests holds for all.
final class AlternatingObject: SourceObject {
    private struct State {
        var choice: AlternateChoice
        /// What the first origin that answered said: which object it is.
        var authority: ObjectInfo?
        /// The origin whose version the transfer goes by; nil before one was opened.
        var lead: Int?
        /// The origins that were the lead.
        var led: Set<Int> = []
        /// Each origin's own word for itself.
        var infos: [Int: ObjectInfo] = [:]
        /// Whether the whole will be compared with a SHA-256.
        var mayMix = false
        /// Whether bytes of an earlier run came from who knows where.
        var holdsForeign = false
        /// Bytes of each origin since the lead began, and those of them that were taken.
        var brought: [Int: UInt64] = [:]
        var taken: [Int: UInt64] = [:]
        var failures: [SluiceError] = []
    }

    private let origins: [any SourceObject]
    private let resources: PipelineResources
    private let transfer: TransferID
    private let state: Mutex<State>

    init(_ origins: [any SourceObject], resources: PipelineResources, transfer: TransferID) {
        self.origins = origins
        self.resources = resources
        self.transfer = transfer
        state = Mutex(State(choice: AlternateChoice(count: origins.count)))
    }

    /// The origin that is read now.
    var current: any SourceObject { origins[state.withLock { $0.choice.current }] }
    var location: String { current.location }
    var host: String { current.host }
    var readsAhead: Bool { current.readsAhead }
    var publishesDigests: Bool { origins.contains(where: \.publishesDigests) }

    /// Whether what is read is the source itself.
    var isAtSource: Bool { state.withLock { $0.choice.current == 0 } }

    /// Whether an object began again from another origin than its first.
    var hasStartedOver: Bool { state.withLock { !$0.led.isEmpty && $0.led != $0.lead.map { [$0] } } }

    /// Whether the next origin is of use only if it publishes a digest of its own.
    var mustProveItself: Bool {
        hasStartedOver && state.withLock { $0.authority?.published.isEmpty ?? true }
    }

    // MARK: - The source's contract

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        try await untilOneAnswers(mayTurn: { true }) { index in
            var opened = try await origins[index].open(prefetch: prefetch, options: options)
            do {
                opened.info = try accept(opened.info, of: index)
            } catch {
                opened.stream?.cancel()
                throw error
            }
            state.withLock { state in
                state.lead = index
                state.led.insert(index)
            }
            opened.stream = opened.stream.map { AlternatingStream($0, origin: index, self) }
            return opened
        }
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        try await untilOneAnswers(mayTurn: { self.state.withLock { $0.mayMix } }) { index in
            let own = try await look(index, from: range.lower, options)
            return AlternatingStream(
                try await origins[index].read(range, of: own, options: options),
                origin: index,
                self
            )
        }
    }

    /// Where bytes of several origins were taken, the SHA-256 has decided.
    func confirmUnchanged(_ info: ObjectInfo) async throws {
        let (origin, own) = state.withLock { state -> (Int?, ObjectInfo?) in
            let sole = AlternatingObject.sole(state) ?? (state.brought.isEmpty ? state.lead : nil)
            return (sole, sole.flatMap { state.infos[$0] })
        }
        if let origin, let own { try await origins[origin].confirmUnchanged(own) }
    }

    /// What the first look at the source showed where others had the look.
    func opened(elsewhere info: ObjectInfo) {
        state.withLock { state in
            state.authority = state.authority ?? info
            state.led.insert(0)
        }
    }

    /// Whether a SHA-256 of the whole is known, so that bytes of several origins may meet.
    func expect(_ digest: Digest?) { state.withLock { $0.mayMix = digest != nil } }

    /// Parts of an earlier run may be of any origin.
    func noteForeignBytes() { state.withLock { $0.holdsForeign = true } }

    // MARK: - Origins by their numbers

    func origin(_ index: Int) -> any SourceObject { origins[index] }

    /// The version of an origin, which must be of the same object.
    func look(_ index: Int, from offset: UInt64 = 0, _ options: ReadOptions) async throws -> ObjectInfo {
        if let known = state.withLock({ $0.infos[index] }) { return try ranged(known, from: offset, index) }
        let opened = try await origins[index].open(prefetch: 0, options: options)
        opened.stream?.cancel()
        _ = try accept(opened.info, of: index)
        return try ranged(opened.info, from: offset, index)
    }

    private func ranged(_ info: ObjectInfo, from offset: UInt64, _ index: Int) throws -> ObjectInfo {
        guard offset > 0, !info.supportsRanges else { return info }
        throw SluiceError(
            .unsupported,
            object: origins[index].location,
            "cannot be read from byte \(offset) on",
            remedy: "name an alternate whose server answers range requests"
        )
    }

    /// Keeps what an origin says of itself, and returns it with the digests that hold for all.
    private func accept(_ info: ObjectInfo, of index: Int) throws -> ObjectInfo {
        let location = origins[index].location
        return try state.withLock { state in
            let authority = state.authority ?? info
            if let size = authority.size, let own = info.size, size != own {
                throw AlternatingObject.otherObject(location, "it has \(own) bytes, the source has \(size)")
            }
            var merged = info
            for published in authority.published {
                let own = info.published.first { $0.algorithm == published.algorithm }
                if let own, own != published {
                    throw AlternatingObject.otherObject(location, "it publishes \(own), the source \(published)")
                }
                if own == nil { merged.published.append(published) }
            }
            state.authority = authority
            state.infos[index] = info
            return merged
        }
    }

    private static func otherObject(_ location: String, _ how: String) -> SluiceError {
        SluiceError(
            .sourceChanged,
            object: location,
            "it is not the same object: \(how)",
            remedy: "name alternates of the same version"
        )
    }

    // MARK: - Failures

    private func untilOneAnswers<R>(
        mayTurn: () -> Bool,
        _ body: (Int) async throws -> R
    ) async throws -> R {
        try await avoidPause(mayTurn: mayTurn())
        while true {
            let index = state.withLock { $0.choice.current }
            do {
                return try await body(index)
            } catch {
                if error is CancellationError || Task.isCancelled { throw error }
                let failure = SluiceError.wrapping(error)
                guard let next = failed(index, failure, mayTurn: mayTurn()) else { throw failure }
                guard next.retry == .immediately else { throw next }
                try await resources.hosts.admit(host)
            }
        }
    }

    /// A host that asked for a long pause is not waited for.
    private func avoidPause(mayTurn: Bool) async throws {
        guard mayTurn, let pause = resources.hosts.pause(of: host), pause > AlternateChoice.longestPause else { return }
        let from = location
        guard state.withLock({ $0.choice.avoidPause() }) else { return }
        tell(from, "its host asks for a pause")
        try await resources.hosts.admit(host)
    }

    /// Whether the host of the origin wants a long pause that another origin need not wait for.
    func turnFromPause() async throws { try await avoidPause(mayTurn: state.withLock { $0.mayMix || $0.lead == nil }) }

    /// Books a failure of an origin.
    ///
    /// - Returns: nil if it is for the caller to retry, else the failure as one that another origin may mend.
    fileprivate func failed(_ index: Int, _ error: SluiceError, mayTurn: Bool) -> SluiceError? {
        let failure = error.about(origins[index].location)
        let (verdict, hasTurned) = state.withLock { state in
            let before = state.choice.current
            let verdict = state.choice.failed(index, error, mayTurn: mayTurn)
            let isNews = before == index && state.choice.current != index || verdict == .giveUp
            if isNews { state.failures.append(failure) }
            return (verdict, before == index && state.choice.current != index)
        }
        if hasTurned {
            _ = resources.hosts.failed(origins[index].host, error, failures: 1)
            tell(origins[index].location, error.message)
        }
        var mendable = failure
        switch verdict {
        case .stay, .giveUp: return nil
        case .turn: mendable.retry = .immediately
        case .turnLater: mendable.retry = .backoff
        }
        return mendable
    }

    fileprivate func failed(streamOf index: Int, _ error: SluiceError) -> SluiceError {
        failed(index, error, mayTurn: state.withLock { $0.mayMix }) ?? error
    }

    private func tell(_ from: String, _ why: String) {
        let next = location
        resources.events.publish(.warning("\(from): \(why); going on with \(next)"), of: transfer)
    }

    // MARK: - After a failed attempt

    /// Prepares another attempt with an origin that had none: after wrong bytes, or where bytes must not meet.
    ///
    /// - Parameter wasShared: the source was read with others, so that nobody here counted.
    func startOver(after error: SluiceError, wasShared: Bool) -> Bool {
        guard !error.gaveSlotUp else { return false }
        return state.withLock { state in
            if wasShared {
                state.led.insert(0)
                if error.retry == .never || error.retry == .restart {
                    state.choice.exclude(0)
                } else {
                    state.choice.tire(0)
                }
            }
            guard let lead = wasShared ? 0 : state.lead else { return false }
            if error.code != .digestMismatch {
                state.choice.tire(lead)
            } else if let sole = AlternatingObject.sole(state) ?? (state.brought.isEmpty ? lead : nil) {
                state.choice.exclude(sole)
            }
            guard state.choice.startOver(beside: state.led) else { return false }
            (state.lead, state.mayMix, state.holdsForeign) = (nil, false, false)
            (state.brought, state.taken) = ([:], [:])
            return true
        }
    }

    /// Whether there is an origin that had no attempt yet.
    var mayStartOver: Bool {
        state.withLock { state in state.choice.remaining.contains { !state.led.contains($0) } }
    }

    /// The one origin of all bytes; nil if there were several, or none.
    private static func sole(_ state: State) -> Int? {
        guard !state.holdsForeign, state.brought.count == 1 else { return nil }
        return state.brought.keys.first
    }

    /// The origins that bytes with a wrong digest can be compared with: not the one that they all came from.
    func comparable() -> [Int] {
        state.withLock { state in
            if state.holdsForeign {
                // Of an earlier run's bytes nobody knows the origin: whoever brought the rest is asked last.
                let likely = state.brought.count == 1 ? state.brought.keys.first : state.lead
                let others = state.choice.remaining.filter { $0 != likely }
                return others + state.choice.remaining.filter { $0 == likely }
            }
            if let sole = AlternatingObject.sole(state) ?? (state.brought.isEmpty ? state.lead : nil) {
                state.choice.exclude(sole)
            }
            return state.choice.remaining
        }
    }

    /// The origin does not have the object's bytes.
    func exclude(_ index: Int, after error: SluiceError) {
        note(error)
        state.withLock { $0.choice.exclude(index) }
    }

    /// Keeps what is wrong with an origin; false for what is wrong with something else.
    @discardableResult
    func note(_ error: SluiceError) -> Bool {
        guard origins.contains(where: { $0.location == error.object }) else { return false }
        state.withLock { $0.failures.append(error) }
        return true
    }

    /// What failed on the way, in order.
    var failures: [SluiceError] { state.withLock { $0.failures } }

    // MARK: - Bytes

    fileprivate func brought(_ count: Int, by index: Int) {
        state.withLock { state in
            state.choice.brought(index)
            state.brought[index, default: 0] += UInt64(count)
            state.taken[index, default: 0] += UInt64(count)
        }
    }

    /// Bytes that took the place of others.
    func replaced(_ count: UInt64, by index: Int) {
        state.withLock { state in
            state.taken[index, default: 0] += count
            // Now there are several, whoever brought the rest.
            state.brought[index, default: 0] += count
        }
    }

    /// What did not come from the source, by origin. Where two lanes had fetched the same bytes, an object has no more than
    /// its own.
    var shares: [AlternateShare] {
        state.withLock { state in
            state.taken.filter { $0.key > 0 && $0.value > 0 }.sorted { $0.key < $1.key }
                .map { share in
                    let bytes = min(share.value, state.authority?.size ?? .max)
                    return AlternateShare(location: origins[share.key].location, bytes: bytes)
                }
        }
    }
}

/// A read of one origin, whose failure may be mended by the next.
private final class AlternatingStream: ByteStream {
    private let stream: any ByteStream
    private let origin: Int
    private let object: AlternatingObject

    init(_ stream: any ByteStream, origin: Int, _ object: AlternatingObject) {
        self.stream = stream
        self.origin = origin
        self.object = object
    }

    func next() async throws -> Chunk? {
        do {
            let chunk = try await stream.next()
            if let chunk { object.brought(chunk.count, by: origin) }
            return chunk
        } catch let error as SluiceError {
            throw object.failed(streamOf: origin, error)
        }
    }

    func cancel() { stream.cancel() }
}
