import SluiceBytes
import SluiceContentStore
import SluicePipeline

/// What commands stand on: sources, sinks, queue and worker of this process. The one place that knows them all is
/// whoever implements this; commands know only this.
protocol CommandSession: Sendable {
    /// Everything that happens.
    var events: EventStream { get }

    /// The clock.
    var time: any TimeSource { get }

    /// Budget, rates and back-off, for reads that a command makes itself (`verify`).
    var resources: PipelineResources { get }

    /// Whether `stop` was called: a command that works itself ends in good order.
    var isStopped: Bool { get }

    /// Buffers for reads that a command makes itself (`cat`).
    var pool: BufferPool { get }

    /// For requests that a command makes itself.
    var retrying: Retrying { get }

    /// The queue. Opens the state store at the first call: commands that only look never touch it.
    func queue() async throws -> any CommandQueue

    /// Renames a state file that cannot be used, and returns its new path. The next command makes a new one.
    func moveStateAside() throws -> String

    /// The source at a location; throws `.usage` if nothing serves its scheme.
    func source(_ location: Location) throws -> any Source

    /// The sink at a location; throws `.usage` if nothing serves its scheme.
    func sink(_ location: Location) throws -> any Sink

    /// Removes what a listing of `location` named; throws `.usage` if nothing can be removed there.
    func remover(_ location: Location) throws -> any ObjectRemover

    /// The content store whose root is `root`; throws `.notFound` if that is none.
    func share(_ root: LocalPath) throws -> StoreShare

    /// The content store that a path leads into, and what is below its root.
    func place(_ path: LocalPath) throws -> StorePlace

    /// What a planned transfer would do, without doing it.
    func preview(_ request: TransferRequest) async throws -> TransferPreview

    /// Tells the resolver what a redacted source stands for in this process; throws `.usage` if it stands for another.
    func keepSecret(_ location: Location, as identity: String) throws

    /// A directory of this machine for files of a command's own, beside the state file.
    func scratch() throws -> LocalPath

    /// Works until the job (nil: the queue) is drained, or for good if `watch`.
    func run(job: JobID?, watch: Bool) async throws -> RunReport

    /// The rows that ended in this process, which has told so. Others of its jobs may end elsewhere.
    var ended: TransferIDs { get }

    /// Rows were added to the queue: a worker of this process that runs looks at once.
    func noteAdded()

    /// No new claims; what runs saves its state and is released.
    func stop()

    /// Releases everything; what it returned before is of no use afterwards.
    func close() async
}

/// The queue as commands see it.
protocol CommandQueue: Sendable {
    /// A new job.
    ///
    /// - Parameter command: what the user asked for, redacted, for `queue list`.
    func beginJob(_ command: String, priority: Int) async throws -> JobID

    /// Adds transfers in one transaction. One that is there already and not running is taken over with its journal.
    ///
    /// - Returns: their rows, in the order of the requests.
    @discardableResult
    func add(_ requests: [TransferRequest], to job: JobID) async throws -> [TransferID]

    /// All transfers of the job are in.
    func endJob(_ job: JobID) async throws

    /// Rows in order of entry, page by page.
    func list(_ states: Set<TransferState>, of job: JobID?) -> AsyncThrowingStream<QueueRow, any Error>

    /// What became of transfers, whichever process ran them. Somebody forgot those that are not among them.
    func fates(of transfers: [TransferID]) async throws -> [TransferID: TransferFate]

    /// A page of `rows`, in order of entry, each as it is wanted now: other commands may want the same otherwise.
    ///
    /// - Parameter after: the last row of the page before; nil for the first page.
    func requests(
        of rows: TransferIDs,
        after: TransferID?
    ) async throws -> [(row: TransferID, request: TransferRequest)]

    /// Whether another process runs a job's transfers, or their next attempt has its time.
    func isUnderWay(_ job: JobID) async throws -> Bool

    /// Applies an action; returns how many rows it changed.
    func apply(_ action: QueueAction, to selection: QueueSelection) async throws -> Int

    /// Changes the rates of running workers; nil gives them back their own.
    func setLimit(_ bandwidth: BandwidthLimit?) async throws

    /// The rates that running workers heed; nil: each its own.
    func limit() async throws -> BandwidthLimit?

    /// Removes ended rows, with what they left in the journal; `isDryRun` only counts them.
    func forget(_ selection: QueueSelection, isDryRun: Bool) async throws -> Int

    /// The records of sink sessions that may still be resumed.
    func liveSessions() async throws -> Set<[UInt8]>

    /// What transfers have stored with that SHA-256 on file systems of this machine, as it was then.
    func stored(_ digest: Digest) async throws -> [StoredObject]

    /// What transfers have stored at a place of this machine or below it, as it was then, the latest first.
    func stored(below place: String) async throws -> [StoredObject]

    /// When transfers to a target were in the queue.
    func writeSpans(to target: String) async throws -> [WriteSpan]
}

/// Which rows an action is about.
enum QueueSelection: Sendable, Hashable {
    case transfers([TransferID])
    case job(JobID)
    case all
}

/// What a user can do to rows.
enum QueueAction: Sendable, Hashable {
    case pause
    case resume
    case cancel
    case retry
    case priority(Int)
}

/// A row for people.
struct QueueRow: Sendable {
    var id: TransferID
    var job: JobID
    var state: TransferState
    var priority: Int
    var source: String
    var target: String
    var size: UInt64?
    var done: UInt64
    var error: String?
}

/// What a run did.
struct RunReport: Sendable, Equatable {
    /// Transfers by their last state.
    var states: [TransferState: Int] = [:]
    /// Failed and parked transfers by code.
    var failures: [SluiceError.Code: Int] = [:]
    /// Whether it was stopped before the queue was drained.
    var interrupted = false
    /// Whether what stopped it was a limit that the user had set.
    var isLimited = false

    mutating func merge(_ other: RunReport) {
        states.merge(other.states, uniquingKeysWith: +)
        failures.merge(other.failures, uniquingKeysWith: +)
        interrupted = interrupted || other.interrupted
        isLimited = isLimited || other.isLimited
    }

    /// Transfers that failed or are parked, and sources that could not be planned.
    var failed: Int { failures.values.reduce(0, +) }

    var status: ExitStatus {
        guard interrupted else {
            let status = ExitStatus.of(failures: failures.keys)
            // What the user held or ended meanwhile is not done either.
            let held = states[.paused, default: 0] + states[.cancelled, default: 0]
            return status == .done && held > 0 ? .someFailed : status
        }
        return isLimited ? .limit : .interrupted
    }
}

/// Removes objects of one place.
protocol ObjectRemover: Sendable {
    /// The most entries of one call.
    var batch: Int { get }

    /// Removes entries of a listing; returns an error for each that is still there.
    func remove(_ entries: [SourceEntry]) async throws -> [SluiceError]
}
