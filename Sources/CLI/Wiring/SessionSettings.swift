import SluiceBytes
import SluicePipeline

/// What a session is opened with: the parsed command line, secrets included. It never leaves the process.
struct SessionSettings: Sendable {
    struct HTTP: Sendable {
        var headers: [HeaderField] = []
        var caFile: String?
        var insecure = false
        var proxy: Secret?
    }

    /// The state file; nil for the default place.
    var stateFile: String?
    /// All buffers together.
    var memory = ByteCount.mebibytes(256)
    /// Objects at a time; nil: few, and more while they are small.
    var transfers: Int?
    /// Objects at a time of one host; nil: as many as `transfers`.
    var perHost: Int?
    /// When the run stops by itself; nil: when its work is done.
    var maxDuration: Duration?
    /// Connections per object.
    var connections = 4
    /// Part size where the sink lets one choose.
    var partSize: ByteCount?
    /// Rates at the start.
    var bandwidth = BandwidthLimit.off
    /// How HTTP is spoken.
    var http = HTTP()
    /// Endpoint of `s3://` sources.
    var source = S3Endpoint()
    /// Endpoint of `s3://` targets.
    var target = S3Endpoint()
    /// How often `-v` was given.
    var verbosity = 0
    /// What new S3 objects are given.
    var object = S3ObjectSettings()
}

extension SessionSettings {
    /// Settings of a command that only looks.
    init(
        _ global: GlobalOptions,
        http: HTTPOptions? = nil,
        s3: S3Options? = nil,
        key: S3KeyOptions? = nil
    ) throws {
        stateFile = global.state
        verbosity = global.verbose
        if let http {
            self.http = HTTP(
                headers: try http.fields(),
                caFile: http.caFile,
                insecure: http.insecure,
                proxy: http.proxy.map { Secret($0) }
            )
        }
        if let s3 {
            source = s3.endpoint
            source.customerKeyFile = key?.customerKeyFile
            target = s3.endpoint
        }
    }

    /// What buffers get of `--memory`. The process has some 43 MiB beside them (37 of its code and its libraries', 6 of
    /// its heap, when buffers are at their most), of which 16 MiB are taken from here: from 64M on the largest resident
    /// set is `--memory` and 32 MiB, or less. Of less memory less is taken, and none of 32M: parts must fit.
    var bufferMemory: ByteCount {
        let least: UInt64 = 32 << 20
        return ByteCount(memory.bytes - min((max(memory.bytes, least) - least) / 2, 16 << 20))
    }

    /// Takes over what a worker needs.
    mutating func apply(_ engine: EngineOptions) {
        memory = engine.memory
        transfers = engine.transfers
        perHost = engine.perHost
        maxDuration = engine.maxDuration?.duration
        connections = engine.connections
        partSize = engine.partSize
        bandwidth = engine.bwlimit
    }
}
