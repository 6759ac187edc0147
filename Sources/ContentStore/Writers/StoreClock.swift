import SluiceBytes
import SluicePipeline

/// The present by the store's server: the mtime of a file that it has just stamped.
struct StoreClock: Sendable {
    static let name = StoreName("clock")

    let files: StoreFiles
    /// Where the probe is made: the writer's own directory.
    let directory: StoreDirectory
    let time: any TimeSource

    func now() throws(SluiceError) -> StoreTime {
        let probe = StoreEntry(StoreClock.name, in: directory)
        let file = try files.create(probe)
        let status = try files.attempt("read the server's clock with", probe.path) { () throws(SystemFailure) in
            try files.operations.write([0], to: file)
            // What was only written carries this machine's time until it is written back.
            try files.operations.touch(file)
            return try files.operations.status(of: file)
        }
        try files.remove(probe)
        return StoreTime(modified: status)
    }

    func skew() throws(SluiceError) -> ClockSkew {
        let server = try now()
        let (local, overflow) = time.wallMilliseconds().multipliedReportingOverflow(by: 1_000_000)
        return ClockSkew(server: server, local: StoreTime(nanoseconds: overflow ? .max : local))
    }
}
