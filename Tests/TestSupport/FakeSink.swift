import SluiceBytes
import SluicePipeline
import Synchronization

/// A sink in memory, in any shape, which outlives the runs that write to it, as a disk or a server does.
public final class FakeSink: Sendable {
    struct Upload {
        var bytes: [UInt8] = []
        var parts: [Int: (receipt: PartReceipt, bytes: [UInt8])] = [:]
        var prepared = false
    }

    struct State {
        var objects: [String: [UInt8]] = [:]
        var generation = 0
        var uploads: [Int: Upload] = [:]
        var nextUpload = 0
        var kill = KillSwitch()
        var calls: [String] = []
        var writes: [Part] = []
        var aborts = 0
        var commits = 0
    }

    /// The shape and the limits.
    public let capabilities: SinkCapabilities
    /// Its host.
    public let host: String
    /// Failures: `existing`, `begin`, `prepare`, `write`, `readBack`, `commit`, `committed` (after it took effect).
    public let faults = FaultPlan()
    /// Awaited before each write, told the part's index or the chunk's offset.
    public let beforeWrite: (@Sendable (UInt64) async throws -> Void)?
    /// Copies within the server are offered from this location.
    public let copiesFrom: FakeSource?
    let state = Mutex(State())

    /// An empty sink.
    public init(
        _ capabilities: SinkCapabilities,
        host: String = "https://sink",
        copiesFrom: FakeSource? = nil,
        beforeWrite: (@Sendable (UInt64) async throws -> Void)? = nil
    ) {
        self.capabilities = capabilities
        self.host = host
        self.copiesFrom = copiesFrom
        self.beforeWrite = beforeWrite
    }

    /// An empty sink of a shape, whose parts are `part` bytes.
    public convenience init(_ shape: SinkCapabilities.Shape, part: UInt64 = 1 << 20) {
        self.init(SinkCapabilities(shape: shape, preferredPart: part))
    }

    /// The place `name`.
    public func target(_ name: String = "object") -> FakeTarget { FakeTarget(sink: self, name: name) }

    /// Dies with `kill` from now on.
    public func run(under kill: KillSwitch) { state.withLock { $0.kill = kill } }

    /// What is under a final name.
    public func object(_ name: String = "object") -> [UInt8]? { state.withLock { $0.objects[name] } }

    /// Puts something under a final name.
    public func put(_ bytes: [UInt8], _ name: String = "object") {
        state.withLock { state in
            state.objects[name] = bytes
            state.generation += 1
        }
    }

    /// Changes a byte of every unfinished upload, as a bad disk does.
    public func corruptUploads(at offset: Int) {
        state.withLock { state in
            for id in state.uploads.keys.sorted() where offset < state.uploads[id]?.bytes.count ?? 0 {
                state.uploads[id]?.bytes[offset] ^= 1
            }
        }
    }

    /// Forgets the parts of every unfinished upload.
    public func loseParts() {
        state.withLock { state in
            for id in Array(state.uploads.keys) { state.uploads[id]?.parts = [:] }
        }
    }

    /// Sessions that were neither committed nor aborted.
    public var unfinished: Int { state.withLock { $0.uploads.count } }
    /// Parts in the order of their writes.
    public var writes: [Part] { state.withLock { $0.writes } }
    /// How many sessions were aborted.
    public var aborts: Int { state.withLock { $0.aborts } }
    /// How often a commit took effect.
    public var commits: Int { state.withLock { $0.commits } }

    func step(_ name: String) throws {
        try faults.pass(name)
        let kill = state.withLock { $0.kill }
        try kill.step()
    }
}

/// A place at a `FakeSink`.
public struct FakeTarget: SinkTarget {
    let sink: FakeSink
    let name: String

    /// Its location.
    public var location: String { "\(sink.host)/\(name)" }
    /// Its host.
    public var host: String { sink.host }
    /// The sink's.
    public var capabilities: SinkCapabilities {
        get async throws { sink.capabilities }
    }

    /// What is there.
    public func existing() async throws -> StoredObject? {
        try sink.faults.pass("existing")
        return sink.state.withLock { state in state.objects[name].map { stored($0, state.generation) } }
    }

    /// Reads it.
    public func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? {
        sink.object(name).map { TestBytes.sha256($0) == digest }
    }

    /// Copies within the sink.
    public func adopt(_ stored: StoredObject, digest: Digest, overwrite: OverwritePolicy) async throws -> StoredObject?
    {
        let name = stored.location.split(separator: "/").last.map(String.init) ?? ""
        guard let bytes = sink.object(name), TestBytes.sha256(bytes) == digest else { return nil }
        sink.put(bytes, self.name)
        return try await existing()
    }

    /// Offers a copy if the source is the one it was told.
    public func serverSideCopy(from object: any SourceObject, info: ObjectInfo) async throws -> (any ServerSideCopy)? {
        guard let source = sink.copiesFrom, source === object as? FakeSource else { return nil }
        return FakeCopy(source: source, info: info, partSize: sink.capabilities.preferredPart)
    }

    /// Starts, or takes up, an upload. A record whose upload is gone gets a new one.
    public func begin(_ plan: WritePlan) async throws -> any SinkSession {
        try sink.step("begin")
        let known = plan.resume.flatMap { Int(String(decoding: $0, as: UTF8.self)) }
        let id = sink.state.withLock { state in
            if let known, state.uploads[known] != nil { return known }
            state.nextUpload += 1
            // A server makes the upload in `prepare`, when its record is in the journal; a file is there at once.
            guard sink.capabilities.shape == .positioned else { return state.nextUpload }
            // A file's room is reserved: it has its length, and zeros, from the beginning.
            let length = Int(plan.size ?? 0)
            state.uploads[state.nextUpload] = FakeSink.Upload(bytes: [UInt8](repeating: 0, count: length))
            return state.nextUpload
        }
        return FakeSession(target: self, id: id, plan: plan)
    }

    func stored(_ bytes: [UInt8], _ generation: Int) -> StoredObject {
        StoredObject(location: location, size: UInt64(bytes.count), fingerprint: "\(generation)")
    }
}

/// An upload to a `FakeSink`.
public final class FakeSession: SinkSession {
    private let target: FakeTarget
    private let id: Int
    private let plan: WritePlan

    init(target: FakeTarget, id: Int, plan: WritePlan) {
        self.target = target
        self.id = id
        self.plan = plan
    }

    private var sink: FakeSink { target.sink }

    /// The upload's number.
    public var record: [UInt8] { Array("\(id)".utf8) }

    /// The receipts that the sink still has.
    public var confirmed: [PartReceipt] {
        let parts = sink.state.withLock { $0.uploads[id]?.parts.values.map(\.receipt) ?? [] }
        return plan.receipts.filter { parts.contains($0) }
    }

    /// A step.
    public func prepare() async throws {
        try sink.step("prepare")
        sink.state.withLock { $0.uploads[id, default: FakeSink.Upload()].prepared = true }
    }

    /// Positioned.
    public func write(_ chunk: Chunk, at offset: UInt64) async throws {
        try await sink.beforeWrite?(offset)
        try sink.step("write")
        let bytes = chunk.bytes
        sink.state.withLock { state in
            let end = Int(offset) + bytes.count
            let missing = end - (state.uploads[id]?.bytes.count ?? 0)
            if missing > 0 { state.uploads[id]?.bytes += [UInt8](repeating: 0, count: missing) }
            state.uploads[id]?.bytes.replaceSubrange(Int(offset)..<end, with: bytes)
        }
    }

    /// Positioned.
    public func readBack(_ range: ByteRange, pool: BufferPool) async throws -> Chunk {
        try sink.faults.pass("readBack")
        let limit = UInt64(BufferPool.chunkCapacity)
        let bytes: [UInt8] = sink.state.withLock { state in
            let all = state.uploads[id]?.bytes ?? []
            let end = min(Int(range.upper), all.count, Int(range.lower + limit))
            return Int(range.lower) < end ? Array(all[Int(range.lower)..<end]) : []
        }
        return Chunk.chunks(of: bytes, from: pool).first ?? pool.makeBuilder().freeze()
    }

    /// Parts and ordered.
    public func write(part: Part, chunks: [Chunk], digests: [Digest], options: WriteOptions) async throws -> PartReceipt
    {
        let bytes = chunks.flatMap { $0.bytes }
        guard UInt64(bytes.count) == part.range.count else {
            throw SluiceError(.internalFault, "part \(part.index) has \(bytes.count) bytes, not \(part.range.count)")
        }
        try await sink.beforeWrite?(UInt64(part.index))
        options.onSent?(bytes.count)
        try sink.step("write")
        let crc = RunningDigest.hash(.crc32c, of: chunks)
        guard digests.contains(crc) else { throw SluiceError(.badAnswer, "part \(part.index) has another CRC") }
        return try sink.state.withLock { state in
            if sink.capabilities.shape == .ordered {
                guard state.uploads[id]?.bytes.count == Int(part.range.lower) else {
                    throw SluiceError(.internalFault, "part \(part.index) came out of order")
                }
                state.uploads[id]?.bytes += bytes
            }
            let receipt = PartReceipt(part: part, tag: "tag\(part.index)", crc32c: crc)
            state.writes.append(part)
            state.uploads[id]?.parts[part.index] = (receipt, bytes)
            return receipt
        }
    }

    /// Writes a part that the server copies.
    func copy(_ part: Part, _ bytes: [UInt8], pool: BufferPool) async throws -> PartReceipt {
        let chunks = Chunk.chunks(of: bytes, from: pool)
        let crc = RunningDigest.hash(.crc32c, of: chunks)
        return try await write(part: part, chunks: chunks, digests: [crc], options: WriteOptions())
    }

    /// Publishes, once.
    public func commit(_ request: CommitRequest) async throws -> StoredObject {
        try sink.step("commit")
        let stored = try sink.state.withLock { state in try publish(request, &state) }
        try sink.faults.pass("committed")
        return stored
    }

    private func publish(_ request: CommitRequest, _ state: inout FakeSink.State) throws -> StoredObject {
        guard let upload = state.uploads[id], sink.capabilities.shape == .positioned || !upload.parts.isEmpty else {
            // Nothing of it is left: it was published, or it is lost.
            if let there = state.objects[target.name], let digest = request.sha256, TestBytes.sha256(there) == digest {
                return target.stored(there, state.generation)
            }
            throw SluiceError(.unconfirmed, object: target.location, "the upload is gone", retry: .restart)
        }
        var bytes = upload.bytes
        if sink.capabilities.shape == .parts {
            let receipts = request.receipts
            guard receipts.map(\.part.index) == Array(0..<receipts.count),
                receipts.allSatisfy({ upload.parts[$0.part.index]?.receipt == $0 })
            else { throw SluiceError(.badAnswer, object: target.location, "the receipts do not fit the parts") }
            bytes = receipts.flatMap { upload.parts[$0.part.index]?.bytes ?? [] }
        }
        guard UInt64(bytes.count) == request.size else {
            throw SluiceError(.badAnswer, object: target.location, "\(bytes.count) bytes, not \(request.size)")
        }
        if let there = state.objects[target.name], plan.overwrite == .refuse {
            if there == bytes { return target.stored(there, state.generation) }
            throw SluiceError(.exists, object: target.location, "something is there")
        }
        state.objects[target.name] = bytes
        state.generation += 1
        state.commits += 1
        state.uploads[id] = nil
        return target.stored(bytes, state.generation)
    }

    /// Removes the upload. A dead process removes nothing.
    public func abort() async {
        sink.state.withLock { state in
            guard !state.kill.isDead else { return }
            state.uploads[id] = nil
            state.aborts += 1
        }
    }
}

/// A copy within a `FakeSink`'s server.
struct FakeCopy: ServerSideCopy {
    let source: FakeSource
    let info: ObjectInfo
    let partSize: UInt64

    func copy(part: Part, session: any SinkSession) async throws -> PartReceipt {
        guard let session = session as? FakeSession else { throw SluiceError(.internalFault, "another sink's session") }
        let pool = BufferPool()
        let stream = try await source.read(part.range, of: info, options: ReadOptions(pool: pool))
        defer { stream.cancel() }
        var bytes: [UInt8] = []
        while let chunk = try await stream.next() { bytes += chunk.bytes }
        return try await session.copy(part, bytes, pool: pool)
    }
}
