import SluiceBytes
import SluiceContentStore
import SluicePipeline
import SluiceRemote
import SluiceS3
import SluiceSinks
import SluiceSources
import SluiceTransport
import Synchronization

/// Sources and sinks under one set of a transfer's settings.
final class Registries: Sendable {
    /// Schemes of sources that have a grammar of their own.
    static let hubs: Set<String> = ["civitai", "hf", "modelscope", "ms", "ollama"]
    /// All of the program's own.
    static let own = hubs.union(["http", "https", "s3", "file", "cas", "urn", "-"])
    /// Whatever `SCHEME://REST` can be read from.
    static var named: Set<String> { hubs.union(SluiceProgram.sources.keys) }

    /// The directory that the user named, which no target may lead out of.
    let targetRoot: String?
    private let sources: SourceRegistry
    private let sinks: SinkRegistry
    /// One sink for each place: transfers into one directory share its syncs.
    private let open = Mutex<[Location: any Sink]>([:])

    /// - Parameters:
    ///   - headers: sent to the origin that a web location names.
    ///   - group: shared by all file sinks of the process.
    ///   - stores: shared by all sources and sinks in content stores.
    init(
        _ settings: TransferSettings,
        headers: HTTPHeaders,
        connections: Connections,
        group: SyncGroup,
        stores: OpenStores,
        time: any TimeSource
    ) throws {
        targetRoot = settings.targetRoot
        var sources = Registries.sources(settings, headers, connections, time)
        var sinks = Registries.sinks(settings, try S3WriteSettings(settings.object), connections, group, time)
        sources.register("cas") { CASSource(try Registries.storePath($0), stores: stores, time: time) }
        sinks.register("cas") { CASSink(try Registries.storePath($0), stores: stores, time: time) }
        self.sources = sources
        self.sinks = sinks
    }

    func source(_ location: Location) throws -> any Source { try sources.source(at: location) }

    func sink(_ location: Location) throws -> any Sink {
        if let known = open.withLock({ $0[location] }) { return known }
        let made = try sinks.sink(at: location)
        return open.withLock { open in
            let first = open[location] ?? made
            open[location] = first
            return first
        }
    }

    private static func sources(
        _ settings: TransferSettings,
        _ headers: HTTPHeaders,
        _ connections: Connections,
        _ time: any TimeSource
    ) -> SourceRegistry {
        var registry = SourceRegistry()
        let ranges = RangeTrust()
        for scheme in ["http", "https"] {
            registry.register(scheme) { location in
                guard case .web(let text) = location.kind, let url = HTTPURL(text) else {
                    throw SluiceError(.usage, object: "\(location)", "not a URL that can be asked for")
                }
                // Who brings headers of their own wants that very URL.
                if headers.count == 0, let page = try connections.hubPage(url, caFile: settings.caFile) {
                    return page
                }
                return HTTPSource(
                    url: url,
                    headers: headers,
                    client: try connections.transport(caFile: settings.caFile),
                    location: "\(location)",
                    ranges: ranges,
                    now: { time.wallSeconds() }
                )
            }
        }
        registry.register("hf") {
            try HuggingFaceSource(rest: try rest($0), hub: try connections.huggingFace(caFile: settings.caFile))
        }
        registry.register("civitai") { location in
            guard case .named(_, let rest) = location.kind else { throw Registries.misplaced(location) }
            return try CivitAISource(rest: rest, hub: try connections.civitAI(caFile: settings.caFile))
        }
        registry.register("urn") { location in
            guard case .urn(let name) = location.kind else { throw Registries.misplaced(location) }
            return try CivitAISource(air: name, hub: try connections.civitAI(caFile: settings.caFile))
        }
        for scheme in ["ms", "modelscope"] {
            registry.register(scheme) {
                try ModelScopeSource(rest: try rest($0), hub: try connections.modelScope(caFile: settings.caFile))
            }
        }
        registry.register("ollama") { try connections.ollama(caFile: settings.caFile).source(rest: try rest($0)) }
        registry.register("s3") { location in
            guard case .s3(let bucket, let key) = location.kind else { throw Registries.misplaced(location) }
            return S3Source(
                connection: try connections.bucket(bucket, at: settings.source, caFile: settings.caFile),
                key: key
            )
        }
        registry.register("file") { try FileSource(path: $0.text, time: time) }
        for (scheme, factory) in SluiceProgram.sources {
            registry.register(scheme) { location in
                let client = try connections.transport(caFile: settings.caFile)
                return try factory(location, SourceServices(client: client, time: time))
            }
        }
        let stdin = StdinSource(time: time)
        registry.register("-") { _ in stdin }
        return registry
    }

    private static func sinks(
        _ settings: TransferSettings,
        _ written: S3WriteSettings,
        _ connections: Connections,
        _ group: SyncGroup,
        _ time: any TimeSource
    ) -> SinkRegistry {
        var registry = SinkRegistry()
        registry.register("s3") { location in
            guard case .s3(let bucket, let key) = location.kind else { throw Registries.misplaced(location) }
            return S3Sink(
                connection: try connections.bucket(bucket, at: settings.target, caFile: settings.caFile),
                key: key,
                settings: written
            )
        }
        registry.register("file") { try FileSink(path: $0.text, time: time, group: group) }
        registry.register("-") { _ in StdoutSink() }
        return registry
    }

    private static func storePath(_ location: Location) throws -> LocalPath {
        guard case .cas = location.kind, let path = location.localPath else { throw misplaced(location) }
        return path
    }

    /// What follows the scheme of a hub.
    private static func rest(_ location: Location) throws -> ObjectKey {
        guard case .named(_, let rest) = location.kind else { throw misplaced(location) }
        return rest
    }

    private static func misplaced(_ location: Location) -> SluiceError {
        SluiceError(.internalFault, object: "\(location)", "a location came to the wrong registry")
    }
}

extension S3WriteSettings {
    /// What the command line says of new objects; reads the customer key from its file.
    init(_ settings: S3ObjectSettings) throws {
        self.init()
        properties.storageClass = settings.storageClass
        properties.metadata = settings.metadata
        properties.tags = settings.tags.sorted { $0.key < $1.key }.map { S3Tag($0.key, $0.value) }
        properties.acl = settings.acl
        properties.content.type = settings.contentHeaders["content-type"]
        properties.content.cacheControl = settings.contentHeaders["cache-control"]
        properties.content.disposition = settings.contentHeaders["content-disposition"]
        properties.content.encoding = settings.contentHeaders["content-encoding"]
        properties.content.language = settings.contentHeaders["content-language"]
        if let file = settings.customerKeyFile {
            properties.encryption = .customer(try S3CustomerKey(file: file))
        } else if settings.encryption == .kms {
            properties.encryption = .kms(keyID: settings.kmsKeyID)
        } else if settings.encryption == .aes256 {
            properties.encryption = .managed
        }
    }
}
