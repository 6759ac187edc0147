import SluiceBytes
import SluiceContentStore
import SluicePipeline
import Synchronization

@testable import SluiceCLI

/// A session whose sources are lists, whose sink knows names only, and whose worker does nothing.
final class FakeSession: CommandSession {
    let events = EventStream()
    let time: any TimeSource = SystemTime()
    let pool = BufferPool()
    let resources = PipelineResources(memory: .mebibytes(8))
    var retrying: Retrying { Retrying(resources: resources) }
    let isStopped = false
    let listings: [String: [ListingItem]]
    let targetIsContainer: Bool
    let interrupts: Bool
    let kept = SecretLocations()
    /// Listings wait for ever after their last item.
    let endless = Mutex(false)
    let added = FakeQueue()

    /// - Parameter listings: what containers hold, by location; every other location is one object.
    init(_ listings: [String: [ListingItem]] = [:], targetIsContainer: Bool = false, interrupts: Bool = false) {
        self.listings = listings
        self.interrupts = interrupts
        self.targetIsContainer = targetIsContainer
    }

    func queue() async throws -> any CommandQueue { added }

    func moveStateAside() throws -> String { "" }

    func scratch() throws -> LocalPath { throw SluiceError(.usage, "there is no scratch directory here") }

    func source(_ location: Location) throws -> any Source {
        FakeSource(location: location.text, items: listings[location.text], endless: endless.withLock { $0 })
    }

    func sink(_ location: Location) throws -> any Sink {
        FakeSink(location: location.text, container: targetIsContainer)
    }

    func remover(_ location: Location) throws -> any ObjectRemover {
        throw SluiceError(.usage, "nothing can be removed here")
    }

    func preview(_ request: TransferRequest) async throws -> TransferPreview {
        TransferPreview(.copy, size: request.size)
    }

    func share(_ root: LocalPath) throws -> StoreShare { throw SluiceError(.notFound, "no store is here") }

    func place(_ path: LocalPath) throws -> StorePlace { throw SluiceError(.notFound, "no store is here") }

    func keepSecret(_ location: Location, as identity: String) throws { try kept.keep(location, as: identity) }

    func run(job: JobID?, watch: Bool) async throws -> RunReport { RunReport(interrupted: interrupts) }

    /// All that were added.
    var ended: TransferIDs {
        var ids = TransferIDs()
        for number in 0..<added.requests.withLock({ $0.count }) { ids.insert(TransferID(Int64(number + 1))) }
        return ids
    }

    func noteAdded() {}

    func stop() {}

    func close() async {}
}

final class FakeQueue: CommandQueue {
    let requests = Mutex<[TransferRequest]>([])
    let batches = Mutex<[Int]>([])

    func beginJob(_ command: String, priority: Int) async throws -> JobID { JobID(1) }

    func add(_ requests: [TransferRequest], to job: JobID) async throws -> [TransferID] {
        batches.withLock { $0.append(requests.count) }
        return self.requests.withLock { all in
            defer { all += requests }
            return requests.indices.map { TransferID(Int64(all.count + $0 + 1)) }
        }
    }

    func fates(of transfers: [TransferID]) async throws -> [TransferID: TransferFate] { [:] }

    func requests(
        of rows: TransferIDs,
        after: TransferID?
    ) async throws -> [(row: TransferID, request: TransferRequest)] { [] }

    func isUnderWay(_ job: JobID) async throws -> Bool { false }

    func endJob(_ job: JobID) async throws {}

    func list(_ states: Set<TransferState>, of job: JobID?) -> AsyncThrowingStream<QueueRow, any Error> {
        AsyncThrowingStream { $0.finish() }
    }

    func apply(_ action: QueueAction, to selection: QueueSelection) async throws -> Int { 0 }

    func setLimit(_ bandwidth: BandwidthLimit?) async throws {}

    func limit() async throws -> BandwidthLimit? { nil }

    func forget(_ selection: QueueSelection, isDryRun: Bool) async throws -> Int { 0 }

    func liveSessions() async throws -> Set<[UInt8]> { [] }

    func stored(_ digest: Digest) async throws -> [StoredObject] { [] }
    func stored(below place: String) async throws -> [StoredObject] { [] }

    func writeSpans(to target: String) async throws -> [WriteSpan] { [] }
}

struct FakeSource: Source {
    let location: String
    let items: [ListingItem]?
    var endless = false

    func list(recursive: Bool) -> AsyncThrowingStream<ListingItem, any Error> {
        AsyncThrowingStream { continuation in
            for item in items ?? [] { continuation.yield(item) }
            if !endless { continuation.finish() }
        }
    }

    func isSingleObject() async throws -> Bool { items == nil }

    func object(_ relativeKey: ObjectKey) throws -> any SourceObject {
        FakeObject(location: location + relativeKey.text)
    }

    static func entry(_ key: String, size: UInt64 = 1) -> ListingItem {
        .entry(
            SourceEntry(relativeKey: ObjectKey(key), baseName: ObjectKey(key), size: size, location: "s3://b/p/\(key)")
        )
    }
}

struct FakeObject: SourceObject {
    let location: String
    let host = "host"

    func open(prefetch: UInt64, options: ReadOptions) async throws -> OpenedObject {
        throw SluiceError(.unsupported, "a fake holds no bytes")
    }

    func read(_ range: ByteRange, of info: ObjectInfo, options: ReadOptions) async throws -> any ByteStream {
        throw SluiceError(.unsupported, "a fake holds no bytes")
    }

    func confirmUnchanged(_ info: ObjectInfo) async throws {}
}

struct FakeSink: Sink {
    let location: String
    let container: Bool

    func isContainer() async throws -> Bool { container }

    func target(_ relativeKey: ObjectKey) throws -> any SinkTarget {
        if relativeKey.text.contains("..") {
            throw SluiceError(.unsafeName, "\(relativeKey) would leave the directory")
        }
        let slash = relativeKey.bytes.isEmpty || location.hasSuffix("/") ? "" : "/"
        return FakeTarget(location: location + slash + relativeKey.text)
    }

    func cleanUp(olderThan: Duration, dryRun: Bool, known: KnownSessions) async throws -> CleanUpReport {
        CleanUpReport()
    }
}

struct FakeTarget: SinkTarget {
    let location: String
    let host = "host"
    var capabilities: SinkCapabilities { SinkCapabilities(shape: .positioned) }

    func existing() async throws -> StoredObject? { nil }

    func holds(_ digest: Digest, in stored: StoredObject, pool: BufferPool) async throws -> Bool? { nil }

    func begin(_ plan: WritePlan) async throws -> any SinkSession {
        throw SluiceError(.unsupported, "a fake takes no bytes")
    }
}
