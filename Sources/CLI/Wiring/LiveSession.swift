import Glibc
import SluiceBytes
import SluiceContentStore
import SluicePipeline
import SluiceState
import Synchronization

/// Opens the session of a command: the seam that the registries, the store and the worker are wired at.
func openSession(_ settings: SessionSettings) async throws -> any CommandSession { LiveSession(settings) }

/// The session of a real command.
final class LiveSession: CommandSession {
    let events: EventStream
    let time: any TimeSource = SystemTime()
    private let settings: SessionSettings
    private let descriptors: DescriptorBudget
    let resources: PipelineResources
    private let connections: Connections
    private let resolver: Resolver
    private let stores: OpenStores
    private let store = Mutex<StateStore?>(nil)
    private let worker = Mutex<(running: Worker?, stopped: Bool)>((nil, false))
    private let endedHere = Mutex(TransferIDs())

    /// How often a running worker looks for `queue limit`.
    private static let limitInterval: Duration = .seconds(1)

    init(_ settings: SessionSettings) {
        self.settings = settings
        descriptors = DescriptorBudget(
            limit: DescriptorBudget.limit(),
            lanes: settings.connections,
            transfers: settings.transfers
        )
        resources = PipelineResources(
            memory: settings.bufferMemory,
            up: settings.bandwidth.up,
            down: settings.bandwidth.down,
            time: time
        )
        events = resources.events
        connections = Connections(
            http: settings.http,
            verbose: settings.verbosity > 1,
            sockets: descriptors.sockets,
            resources: resources,
            environment: LiveSession.environment()
        )
        stores = OpenStores(
            tool: "sluice \(Sluice.version)",
            hints: LiveSession.hints(),
            LiveSession.storeContext(time)
        )
        resolver = Resolver(settings: settings, connections: connections, stores: stores, time: time)
    }

    /// Notices of stores go to standard error, each topic once.
    private static func storeContext(_ time: any TimeSource) -> StoreContext {
        let told = ToldTopics()
        return StoreContext(time: time) { notice in
            if told.isNews(notice.topic) { Output.error.note("sluice: \(notice)") }
        }
    }

    /// Beside the standard state file, whatever `--state` says; nil without a home.
    private static func hints() -> LocalPath? {
        (try? StateLocation.standard(environment: environment())).flatMap { LocalPath($0.path) }?.parent
    }

    private static func environment() -> [String: String] {
        var variables: [String: String] = [:]
        var next = environ
        while let entry = next.pointee {
            let text = String(cString: entry)
            let name = text.prefix { $0 != "=" }
            variables[String(name)] = String(text.dropFirst(name.count + 1))
            next += 1
        }
        return variables
    }

    var pool: BufferPool { resources.pool }
    var retrying: Retrying { Retrying(resources: resources) }

    // MARK: - Places

    func source(_ location: Location) throws -> any Source { try resolver.own().source(location) }

    func sink(_ location: Location) throws -> any Sink { try resolver.own().sink(location) }

    func remover(_ location: Location) throws -> any ObjectRemover {
        switch location.kind {
        case .s3(let bucket, let key):
            let connection = try connections.bucket(bucket, at: settings.source, caFile: settings.http.caFile)
            return S3Remover(connection: connection, base: key)
        case .path: return FileRemover()
        case .cas: return StoreRemover(stores: stores)
        case .web, .named, .urn, .stream:
            throw SluiceError(.usage, object: "\(location)", "nothing can be removed there")
        }
    }

    func preview(_ request: TransferRequest) async throws -> TransferPreview {
        let (source, target) = try await resolver.resolve(request)
        return try await TransferPreview.look(request, source: source, target: target, resources: resources)
    }

    func share(_ root: LocalPath) throws -> StoreShare {
        if let share = try stores.share(root) { return share }
        // Says what is missing.
        _ = try ContentStore.open(root)
        throw SluiceError(.notFound, object: root.description, "is not a content store")
    }

    func place(_ path: LocalPath) throws -> StorePlace { try stores.locate(path) }

    func keepSecret(_ location: Location, as identity: String) throws {
        try resolver.keepSecret(location, as: identity)
    }

    // MARK: - Queue

    func queue() async throws -> any CommandQueue { StoreQueue(store: try openStore()) }

    private func openStore() throws -> StateStore {
        try store.withLock { store in
            if let store { return store }
            let opened = try StateStore(stateLocation())
            store = opened
            return opened
        }
    }

    private func stateLocation() throws -> StateLocation {
        try settings.stateFile.map { StateLocation(path: $0) }
            ?? StateLocation.standard(environment: LiveSession.environment())
    }

    func scratch() throws -> LocalPath {
        // The state file's directory is there once it was opened.
        _ = try openStore()
        let path = try stateLocation().path
        guard let file = LocalPath(path) else {
            throw SluiceError(.state, object: path, "the state file has no path that can be used")
        }
        return file.parent
    }

    func moveStateAside() throws -> String { try stateLocation().moveAside(wallSeconds: time.wallSeconds()) }

    func run(job: JobID?, watch: Bool) async throws -> RunReport {
        let store = try openStore()
        let worker = Worker(
            queue: store,
            resolver: resolver,
            configuration: WorkerConfiguration(
                transfers: descriptors.transfers,
                shortTransfers: descriptors.shortTransfers,
                perHost: settings.perHost,
                limits: TransferLimits(connections: descriptors.lanes, partSize: settings.partSize?.bytes)
            ),
            resources: resources
        )
        let isStopped = self.worker.withLock { current in
            current.running = worker
            return current.stopped
        }
        if isStopped { worker.stop() }
        defer { self.worker.withLock { $0.running = nil } }
        let summary = try await withThrowingTaskGroup(of: WorkerSummary?.self) { group in
            group.addTask { try await worker.run(job: job, watch: watch) }
            group.addTask {
                try await self.followLimit(store)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
        guard let summary else { return RunReport(interrupted: true) }
        endedHere.withLock { $0.formUnion(summary.ended) }
        return RunReport(states: summary.states, failures: summary.failures, interrupted: summary.stopped)
    }

    /// Heeds `queue limit` while transfers run.
    private func followLimit(_ store: StateStore) async throws {
        var last: String?
        while true {
            let text = try await store.setting(StoreQueue.limitKey)
            if text != last {
                let limit = text.flatMap { BandwidthLimit(argument: $0) } ?? settings.bandwidth
                resources.throttle.setLimits(up: limit.up, down: limit.down)
                last = text
            }
            try await time.sleep(for: LiveSession.limitInterval)
        }
    }

    var ended: TransferIDs { endedHere.withLock { $0 } }

    func noteAdded() { worker.withLock { $0.running }?.noteAdded() }

    func stop() {
        let running = worker.withLock { current in
            current.stopped = true
            return current.running
        }
        running?.stop()
    }

    var isStopped: Bool { worker.withLock { $0.stopped } }

    func close() async {
        connections.shutdown()
        for error in stores.close() { Output.error.note("sluice: the store was not tidied up: \(error)") }
        let opened = store.withLock { store in
            defer { store = nil }
            return store
        }
        do {
            try opened?.close()
        } catch {
            Output.error.note("sluice: the state file was not closed in order: \(SluiceError.wrapping(error))")
        }
    }
}

/// Which topics were told.
private final class ToldTopics: Sendable {
    private let topics = Mutex<Set<String>>([])

    /// True for the first time, and always without a topic.
    func isNews(_ topic: String?) -> Bool {
        guard let topic else { return true }
        return topics.withLock { $0.insert(topic).inserted }
    }
}
