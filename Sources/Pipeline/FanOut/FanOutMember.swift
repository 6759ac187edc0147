import SluiceBytes
import Synchronization

/// The source as one member of a shared read sees it: it reads with the others what they need too, and by itself what
/// only it needs.
public final class FanOutMember: SourceObject {
    let id: Int
    private let source: any SourceObject
    private let shared: SharedRead

    init(_ id: Int, _ source: any SourceObject, _ shared: SharedRead) {
        self.id = id
        self.source = source
        self.shared = shared
    }

    /// The source's.
    public var location: String { source.location }
    /// The source's.
    public var host: String { source.host }
    /// Memory for the bytes is admitted for all members at once.
    public var readsAhead: Bool { false }

    /// The member's part of what was admitted; nil if it reads by itself.
    var budget: MemoryBudget? { shared.budget(of: id) }

    /// Members of one shared read never wait for each other's stores: see `InFlightTable`.
    var group: ObjectIdentifier { ObjectIdentifier(shared) }

    /// What the member's sink takes, and whether at its own pace; to be told before `open`.
    func announce(_ capabilities: SinkCapabilities, _ limits: TransferLimits, listedSize: UInt64?, pacesWrites: Bool) {
        let demand = FanOutMemory.Demand(capabilities: capabilities, limits: limits, listedSize: listedSize)
        shared.announce(id, demand, pacesWrites: pacesWrites)
    }

    /// These ranges and no others will be read, or none at all.
    func willRead(_ ranges: [ByteRange]) { shared.setNeeds(id, RangeSet(ranges)) }

    /// The member waits for something else from now on: the others go on without it.
    func standAside() { shared.leave(id) }

    /// One look for all members.
    public func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        let (info, isOneStream) = try await shared.open(id, source, wantsBytes: prefetch > 0, options)
        let upper = isOneStream ? info.size ?? .max : min(prefetch, info.size ?? prefetch)
        let range = ByteRange(0, upper)
        guard isOneStream || prefetch > 0 else { return OpenedObject(info: info) }
        return OpenedObject(info: info, stream: stream(range, info, options), streamRange: range)
    }

    /// Bytes for all members, as far as they need them.
    public func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        stream(range, info, options)
    }

    /// Asks the source.
    public func confirmUnchanged(_ info: ObjectInfo) async throws { try await source.confirmUnchanged(info) }

    private func stream(_ range: ByteRange, _ info: ObjectInfo, _ options: ReadOptions) -> FanOutStream {
        FanOutStream(member: id, range, info, options, source: source, shared: shared)
    }
}

/// One read of a member, which goes over from the shared blocks to reads of its own and back as it comes along.
final class FanOutStream: ByteStream {
    private struct State {
        var offset: UInt64
        var own: (any ByteStream)?
        var isOver = false
    }

    private let member: Int
    private let upper: UInt64
    private let info: ObjectInfo
    private let options: ReadOptions
    private let source: any SourceObject
    private let shared: SharedRead
    private let state: Mutex<State>

    init(
        member: Int,
        _ range: ByteRange,
        _ info: ObjectInfo,
        _ options: ReadOptions,
        source: any SourceObject,
        shared: SharedRead
    ) {
        self.member = member
        self.info = info
        self.options = options
        self.source = source
        self.shared = shared
        upper = range.upper
        state = Mutex(State(offset: range.lower))
    }

    func next() async throws -> Chunk? {
        while true {
            let (offset, own, isOver) = state.withLock { ($0.offset, $0.own, $0.isOver) }
            if isOver { throw CancellationError() }
            if let own {
                if let chunk = try await own.next() {
                    shared.took(member, ByteRange(offset, offset + UInt64(chunk.count)))
                    return advance(chunk)
                }
                state.withLock { $0.own = nil }
                continue
            }
            let request = SharedRead.Request(
                member: member,
                offset: offset,
                upper: upper,
                options: options,
                isOver: { [weak self] in self?.state.withLock { $0.isOver } ?? true }
            )
            switch try await shared.next(request) {
            case .end: return nil
            case .chunk(let chunk): return advance(chunk)
            case .alone(let range): try await goAlone(range)
            }
        }
    }

    private func advance(_ chunk: Chunk) -> Chunk {
        state.withLock { $0.offset += UInt64(chunk.count) }
        return chunk
    }

    private func goAlone(_ range: ByteRange) async throws {
        let stream = try await source.read(range, of: info, options: options)
        let isOver = state.withLock { state in
            if !state.isOver { state.own = stream }
            return state.isOver
        }
        if isOver { stream.cancel() }
    }

    func cancel() {
        let own = state.withLock { state in
            defer { state.own = nil }
            state.isOver = true
            return state.own
        }
        own?.cancel()
        shared.wake()
    }
}
