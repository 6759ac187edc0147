import Glibc
import SluiceBytes
import SluicePipeline
import SluiceRemote
import SluiceS3
import SluiceSources
import SluiceTransport
import Synchronization

/// The one place that makes HTTP clients and S3 connections: shared by everything in the process that asks for the
/// same endpoint with the same certificates.
final class Connections: Sendable {
    private struct State {
        var transports: [String: CurlTransport] = [:]
        var buckets: [BucketKey: S3Connection] = [:]
        /// What is known of an endpoint holds for all its buckets.
        var endpoints: [String: S3EndpointState] = [:]
    }

    private struct BucketKey: Hashable {
        let endpoint: S3Endpoint
        let caFile: String?
        let bucket: String
    }

    private let http: SessionSettings.HTTP
    private let verbose: Bool
    private let sockets: Int
    let resources: PipelineResources
    let environment: [String: String]
    let hubs = Mutex(Hubs())
    private let state = Mutex(State())

    init(
        http: SessionSettings.HTTP,
        verbose: Bool,
        sockets: Int,
        resources: PipelineResources,
        environment: [String: String]
    ) {
        self.http = http
        self.verbose = verbose
        self.sockets = sockets
        self.resources = resources
        self.environment = environment
    }

    /// The transport that trusts `caFile`, or `SSL_CERT_FILE`, or the system's certificates.
    ///
    /// - Throws: `.usage` if that file cannot be read: every connection would fail, and be tried again and again.
    func transport(caFile: String?) throws -> CurlTransport {
        if let caFile { try Connections.checkReadable(caFile) }
        let trusted = caFile ?? environment["SSL_CERT_FILE"].flatMap { $0.isEmpty ? nil : $0 }
        return state.withLock { state in
            if let known = state.transports[trusted ?? ""] { return known }
            var configuration = TransportConfiguration()
            configuration.connections = sockets
            configuration.caFile = trusted
            configuration.insecure = http.insecure
            configuration.proxy = http.proxy.map { .url($0.exposed) } ?? .environment(environment)
            configuration.userAgent = "sluice/\(Sluice.version)"
            if verbose { configuration.trace = { Output.error.note("curl: \($0)") } }
            let made = CurlTransport(configuration, pool: resources.pool)
            state.transports[trusted ?? ""] = made
            return made
        }
    }

    private static func checkReadable(_ path: String) throws {
        guard access(path, R_OK) != 0 else { return }
        throw SluiceError(
            .usage,
            object: Printable.text(path),
            "the certificates to trust cannot be read: \(SystemFailure("access", errno).reason)",
            remedy: "check the path given by --ca-file or AWS_CA_BUNDLE"
        )
    }

    /// A bucket at an endpoint; credentials as the AWS tools find them.
    func bucket(_ name: String, at endpoint: S3Endpoint, caFile: String?) throws -> S3Connection {
        let key = BucketKey(endpoint: endpoint, caFile: caFile, bucket: name)
        if let known = state.withLock({ $0.buckets[key] }) { return known }
        let made = try connect(name, endpoint, caFile)
        return state.withLock { state in
            let first = state.buckets[key] ?? made
            state.buckets[key] = first
            return first
        }
    }

    private func connect(_ bucket: String, _ endpoint: S3Endpoint, _ caFile: String?) throws -> S3Connection {
        var options = SluiceS3.S3Options()
        options.profile = endpoint.profile
        options.region = endpoint.region
        options.endpointURL = endpoint.endpointURL
        options.isAnonymous = endpoint.anonymous
        let settings: S3Settings
        do {
            settings = try S3Settings(options: options, environment: AWSEnvironment(variables: environment))
        } catch {
            throw SluiceError.remote(error, object: "s3://\(bucket)")
        }
        let base = try settings.endpointURL.map { text in
            guard let url = HTTPURL(text), url.userinfo == nil else {
                throw SluiceError(
                    .usage,
                    "the S3 endpoint \(Redact.location(text)) is not an http(s) URL",
                    remedy: "check --endpoint-url and AWS_ENDPOINT_URL"
                )
            }
            return url
        }
        let addressing = settings.addressingStyle.flatMap { SluiceS3.S3Endpoint.Addressing(rawValue: $0) } ?? .auto
        let place = SluiceS3.S3Endpoint(base: base, addressing: addressing)
        let policy: PayloadPolicy =
            switch endpoint.payload {
            case .auto: .automatic
            case .signed: .signed
            case .unsigned: .unsigned
            }
        let client = S3Client(
            endpoint: place,
            region: settings.region,
            credentials: settings.credentials,
            quirks: EndpointQuirks.known(forHost: place.host),
            http: try transport(caFile: caFile ?? settings.caBundle),
            payload: policy,
            state: endpointState(place),
            pool: resources.pool,
            clock: { Timestamp(epochSeconds: Int64(time(nil))) }
        )
        let account = [place.host, base.map { "\($0.port)" }, endpoint.profile, endpoint.anonymous ? "anonymous" : nil]
        return S3Connection(
            client: client,
            bucket: bucket,
            account: account.map { $0 ?? "" }.joined(separator: " "),
            customerKey: try endpoint.customerKeyFile.map { try S3CustomerKey(file: $0) },
            retrying: Retrying(resources: resources)
        )
    }

    private func endpointState(_ place: SluiceS3.S3Endpoint) -> S3EndpointState {
        let name = place.base.map { "\($0)" } ?? place.host
        return state.withLock { state in
            if let known = state.endpoints[name] { return known }
            let made = S3EndpointState { [events = resources.events, host = place.host] offset in
                let side = offset > 0 ? "behind" : "ahead of"
                events.publish(
                    .warning(
                        "this machine's clock is \(offset.magnitude) s \(side) that of \(host); requests are signed by the "
                            + "server's. Set the clock"
                    )
                )
            }
            state.endpoints[name] = made
            return made
        }
    }

    /// Joins the transports' threads; must come before the process exits.
    func shutdown() {
        let transports = state.withLock { Array($0.transports.values) }
        for transport in transports { transport.shutdown() }
    }
}
