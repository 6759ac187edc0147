import SluiceBytes
import SluiceContentStore
import SluicePipeline
import SluiceSinks
import SluiceTransport
import Synchronization

/// Makes source and target of a queued request: from its own settings, and from the secrets of this process where the
/// request belongs to this command.
final class Resolver: TransferResolver {
    private let settings: SessionSettings
    private let connections: Connections
    private let time: any TimeSource
    private let group = SyncGroup()
    private let stores: OpenStores
    private let registries = Mutex<[RegistryKey: Registries]>([:])
    private let ownRegistries = Mutex<Registries?>(nil)
    private let secrets = SecretLocations()

    private struct RegistryKey: Hashable {
        let settings: String
        let isOwn: Bool
    }

    init(settings: SessionSettings, connections: Connections, stores: OpenStores, time: any TimeSource) {
        self.settings = settings
        self.connections = connections
        self.stores = stores
        self.time = time
    }

    func keepSecret(_ location: Location, as identity: String) throws {
        try secrets.keep(location, as: identity)
    }

    /// The registries of the command line itself.
    func own() throws -> Registries {
        if let known = ownRegistries.withLock({ $0 }) { return known }
        let made = try registries(TransferSettings(settings).encoded(), isOwn: true)
        ownRegistries.withLock { $0 = made }
        return made
    }

    func resolve(_ request: TransferRequest) async throws -> (source: any SourceObject, target: any SinkTarget) {
        let registries = try registries(request.settings, isOwn: request.needsCommand)
        let kept = secrets.location(of: request.source)
        if request.needsCommand, kept == nil, request.source != "-", request.target != "-" {
            throw SluiceError(
                .notAuthorised,
                object: request.source,
                "only the command that was given its secrets can run it",
                remedy: "run the same cp command again",
                retry: .park
            )
        }
        let source = try kept ?? Resolver.location(request.source)
        return (
            try registries.source(source).object(ObjectKey("")),
            try target(request, registries)
        )
    }

    /// Headers of the command line are for the source alone: an alternate is another origin.
    func alternates(of request: TransferRequest) throws -> [any SourceObject] {
        if request.alternates.isEmpty { return [] }
        var settings = try TransferSettings(decoding: request.settings)
        settings.headers = [:]
        let registries = try registries(try settings.encoded(), isOwn: false)
        return try request.alternates.map { text in
            let kept = secrets.location(of: text)
            let location = if let kept { kept } else { try Resolver.location(text) }
            return try registries.source(location).object(ObjectKey(""))
        }
    }

    /// The target, below the directory that the user named: nothing below that may lead out of it.
    private func target(_ request: TransferRequest, _ registries: Registries) throws -> any SinkTarget {
        let target = try Resolver.location(request.target)
        guard let root = try registries.targetRoot.map(Resolver.location), let base = root.localPath,
            let path = target.localPath
        else { return try registries.sink(target).target(ObjectKey("")) }
        // As anything below begins: without the last dot of `cp URL .`, which no path below has.
        let below = Array(base.appending([UInt8(ascii: "x")]).bytes.dropLast())
        guard path.bytes.starts(with: below), root.scheme == target.scheme else {
            throw SluiceError(.internalFault, object: request.target, "the target is not below \(root)")
        }
        return try registries.sink(root).target(ObjectKey(bytes: path.bytes.dropFirst(below.count)))
    }

    private func registries(_ text: String, isOwn: Bool) throws -> Registries {
        let key = RegistryKey(settings: text, isOwn: isOwn)
        if let known = registries.withLock({ $0[key] }) { return known }
        let parsed = try TransferSettings(decoding: text)
        let made = try Registries(
            parsed,
            headers: try headers(parsed, isOwn: isOwn),
            connections: connections,
            group: group,
            stores: stores,
            time: time
        )
        return registries.withLock { registries in
            let first = registries[key] ?? made
            registries[key] = first
            return first
        }
    }

    private func headers(_ parsed: TransferSettings, isOwn: Bool) throws -> HTTPHeaders {
        var headers = HTTPHeaders()
        for (name, variable) in parsed.headers.sorted(by: { $0.key < $1.key }) {
            headers[name] = try HeaderField(name: name, variable: variable).resolved().exposed
        }
        guard isOwn else { return headers }
        for field in settings.http.headers { headers[field.name] = try field.resolved().exposed }
        return headers
    }

    static func location(_ text: String) throws -> Location {
        do {
            return try Location(parsing: text)
        } catch {
            throw SluiceError(.usage, object: Redact.location(text), "\(error)")
        }
    }
}
